// The scatter plots: reward over time, by level, predicted against measured, accuracy against cost.
function bestSoFar(chart, list) {
  let best = -Infinity, d = "";
  for (const p of list) {
    if (p.child.status !== "done" || p.y <= best) continue;
    d += d ? `H${p.px.toFixed(1)}V${p.py.toFixed(1)}` : `M${p.px.toFixed(1)} ${p.py.toFixed(1)}`;
    best = p.y;
  }
  return d && svg("path", { class: "best", d: d + `H${chart.width - MARGINS.right}` });
}

function overTime() {
  const order = new Map();
  return new Scatter({
    id: "reward", label: "Reward of every child in the order in which they finished", xLabel: "children finished", yLabel: "reward (validation accuracy)",
    points: () => {
      order.clear();
      const list = finished();
      list.forEach((c, i) => order.set(c.id, i + 1));
      return list;
    },
    x: (c) => order.get(c.id), y: (c) => (c.status === "failed" ? null : c.reward),
    xDomain: () => [0.5 - order.size * 0.01, Math.max(10, order.size) * 1.01 + 0.5],
    over: (chart) => bestSoFar(chart, chart.points), height: 360,
  });
}

// A fixed sideways scatter by the child's number: the same picture each time.
const jitter = (id) => (((id * 2654435761) % 4294967296) / 4294967296 - 0.5) * 0.62;

function byLevel() {
  return new Scatter({
    id: "levels", label: "Reward by level", xLabel: "level (blocks in the cell)", yLabel: "reward",
    points: done, x: (c) => c.level + jitter(c.id), y: (c) => c.reward,
    xDomain: () => [Math.min(...levels(), 1) - 0.5, Math.max(...levels(), 1) + 0.5],
    xTicks: () => levels().map((level) => [level, String(level)]), over: levelBoxes, height: 360,
  });
}

function levelBoxes(chart) {
  return shownLevels().map((level) => {
    const sorted = done().filter((c) => c.level === level).map((c) => c.reward).sort((a, b) => a - b);
    if (sorted.length < 3) return null;
    const [left, right] = [chart.sx(level - 0.36), chart.sx(level + 0.36)], at = (q) => chart.sy(quantile(sorted, q));
    return svg("g", { class: "quartiles" }, svg("title", {}, `level ${level}: median ${fixed(quantile(sorted, 0.5))}`),
      svg("rect", { x: left, width: right - left, y: at(0.75), height: Math.max(0.5, at(0.25) - at(0.75)), rx: 3 }), svg("line", { x1: left, x2: right, y1: at(0.5), y2: at(0.5) }));
  });
}

const shownLevels = () => levels().filter((level) => !run.hidden.has(level));

function predictedPlot() {
  return new Scatter({
    id: "predicted", label: "Predicted against measured reward", xLabel: "predicted before training", yLabel: "measured reward",
    points: () => done().filter((c) => known(c.predicted)), x: (c) => c.predicted, y: (c) => c.reward,
    under: (chart) => {
      const [low, high] = [Math.max(chart.sx.domain[0], chart.sy.domain[0]), Math.min(chart.sx.domain[1], chart.sy.domain[1])];
      const bars = chart.points.filter((p) => p.child.spread > 0 && known(p.y)).map((p) => `M${chart.sx(p.x - p.child.spread).toFixed(1)} ${p.py.toFixed(1)}H${chart.sx(p.x + p.child.spread).toFixed(1)}`);
      return [bars.length && svg("path", { class: "spread", "data-bars": bars.length, d: bars.join("") }),
        high > low && svg("line", { class: "diagonal", x1: chart.sx(low), y1: chart.sy(low), x2: chart.sx(high), y2: chart.sy(high) })];
    },
  });
}

function paretoPlot(state) {
  const key = () => state.cost;
  const spec = {
    id: "pareto", label: "Reward against cost", xLabel: "", yLabel: "reward", log: true,
    points: () => done().filter((c) => c[key()] > 0), x: (c) => c[key()], y: (c) => c.reward,
    over: (chart) => {
      const front = new Set(paretoFront(chart.points.map((p) => p.child), key()).map((c) => c.id));
      const list = chart.points.filter((p) => front.has(p.child.id)).sort((a, b) => a.x - b.x);
      const d = list.map((p, i) => (i ? `H${p.px.toFixed(1)}V${p.py.toFixed(1)}` : `M${p.px.toFixed(1)} ${p.py.toFixed(1)}`)).join("");
      return [d && svg("path", { class: "front", d }), ...list.map((p) => svg("circle", { class: "ring", cx: p.px, cy: p.py, r: 5.5 }))];
    },
  };
  return new Scatter(spec);
}
