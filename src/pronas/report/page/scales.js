// Axes: nice steps, linear and logarithmic.
function niceTicks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw * 0.7) * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return { ticks, step };
}

function tickText(value, step) {
  if (Math.abs(value) < step / 1e6) return "0";
  if (Math.abs(value) >= 1e4) return compact(value);
  return value.toFixed(Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9))));
}

function linear(low, high, from, to) {
  if (!(high > low)) [low, high] = [low - (Math.abs(low) || 1) * 0.05, low + (Math.abs(low) || 1) * 0.05];
  const scale = (v) => from + ((v - low) / (high - low)) * (to - from);
  scale.invert = (p) => low + ((p - from) / (to - from)) * (high - low);
  scale.domain = [low, high];
  scale.ticks = (wanted) => {
    const { ticks, step } = niceTicks(low, high, wanted);
    return ticks.map((v) => [v, tickText(v, step)]);
  };
  return scale;
}

function logarithmic(low, high, from, to) {
  if (!(high > low)) [low, high] = [low / 1.2, low * 1.2];
  const inner = linear(Math.log10(low), Math.log10(high), from, to);
  const scale = (v) => inner(Math.log10(v));
  scale.invert = (p) => 10 ** inner.invert(p);
  scale.domain = [low, high];
  scale.ticks = (wanted) => {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
      for (const m of [1, 2, 5]) if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001) ticks.push(m * 10 ** e);
    if (ticks.length < 3) return linear(low, high, 0, 1).ticks(wanted).map(([v]) => [v, compact(v)]);
    const decades = ticks.filter((v) => Number.isInteger(Math.log10(v) + 1e-12) || Math.abs(Math.log10(v) % 1) < 1e-9);
    return (ticks.length > wanted + 2 && decades.length > 2 ? decades : ticks).map((v) => [v, compact(v)]);
  };
  return scale;
}

// Room around values, so that no point lies on the frame.
function padded(values, share = 0.04, log = false) {
  let low = Infinity, high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (!(high >= low)) return log ? [1, 10] : [0, 1];
  if (log) {
    const room = Math.max((high / low) ** share, 1.02);
    return [low / room, high * room];
  }
  const room = (high - low || Math.abs(high) * 0.1 || 1) * share;
  return [low - room, high + room];
}
