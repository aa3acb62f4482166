// What is known of the run, and what follows from it. Rows come as arrays; `fields` names their places.
const run = {
  children: new Map(), pictures: {}, fits: [], running: [], meta: {}, space: {}, sizes: {}, metrics: {}, classes: [], exports: [], curves: {}, mistakes: {}, name: "", live: false,
  hidden: new Set(), // levels filtered out
};

function receive(message) {
  if (message.reset) {
    run.children.clear();
    run.curves = {};
  }
  Object.assign(run.curves, message.curves);
  Object.assign(run.pictures, message.pictures);
  for (const row of message.rows || []) {
    const child = Object.fromEntries(message.fields.map((field, i) => [field, row[i]]));
    run.children.set(child.id, child);
  }
  for (const key of ["fits", "running", "meta", "space", "name", "live", "metrics", "sizes", "classes", "exports", "mistakes"]) if (key in message) run[key] = message[key];
}

const all = () => [...run.children.values()];
const finished = () => all().filter((c) => c.status === "done" || c.status === "failed").sort((a, b) => a.finished - b.finished || a.id - b.id);
const levels = () => [...new Set(all().map((c) => c.level))].sort((a, b) => a - b);
const shown = (list) => list.filter((c) => !run.hidden.has(c.level));
const done = () => all().filter((c) => c.status === "done" && known(c.reward));
const byReward = (list) => [...list].sort((a, b) => b.reward - a.reward || a.id - b.id);

const COSTS = [
  ["parameters", "parameters", compact],
  ["macs", "multiply-accumulates", compact],
  ["binary_macs", "binary multiply-accumulates", compact],
  ["weight_bits", "weight bits", compact],
  ["activation_bytes", "activation bytes", compact],
  ["latency_us", "latency, µs", compact],
];
// a cost is worth an axis when it is known and not the same for all
const costs = () => COSTS.filter(([key]) => new Set(done().map((c) => c[key]).filter((v) => v > 0)).size > 1);

// Halves of a child's cell: [[input, operator], ...], two for each block.
function halves(child) {
  const pairs = [];
  for (let i = 0; i + 1 < child.genes.length; i += 2) pairs.push([child.genes[i], child.genes[i + 1]]);
  return pairs;
}
const isFlat = (child) => child.genes[0] === 0;

function inputName(value, flat) {
  if (flat) return value === 0 ? "input" : "block " + value;
  return value < 0 ? "cell " + value : "block " + (value + 1);
}

// Ranks from 1, ties sharing their mean.
function ranks(values) {
  const order = values.map((v, i) => i).sort((a, b) => values[a] - values[b]);
  const result = new Array(values.length);
  for (let i = 0; i < order.length;) {
    let j = i;
    while (j + 1 < order.length && values[order[j + 1]] === values[order[i]]) j++;
    for (let k = i; k <= j; k++) result[order[k]] = (i + j) / 2 + 1;
    i = j + 1;
  }
  return result;
}

// Spearman's rank correlation; null where it is not defined.
function spearman(xs, ys) {
  if (xs.length < 3) return null;
  const [a, b] = [ranks(xs), ranks(ys)], middle = (xs.length + 1) / 2;
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - middle) * (b[i] - middle);
    aa += (a[i] - middle) ** 2;
    bb += (b[i] - middle) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : null;
}

// The children that no other beats in both cost and reward, cheapest first.
function paretoFront(list, key) {
  const front = [];
  for (const child of [...list].sort((a, b) => a[key] - b[key] || b.reward - a.reward))
    if (!front.length || child.reward > front[front.length - 1].reward) front.push(child);
  return front;
}

// How often each operator and input occurs among the best quarter (at least ten) of each level, and among all of it.
function usage(kind) {
  const table = new Map();
  for (const level of levels()) {
    const list = byReward(done().filter((c) => c.level === level && c.genes.length));
    const best = list.slice(0, Math.max(10, Math.ceil(list.length / 4)));
    for (const [place, group] of [[0, best], [1, list]])
      for (const child of group)
        for (const [input, operator] of halves(child)) {
          const name = kind === "operator" ? operator : inputName(input, isFlat(child));
          if (!table.has(name)) table.set(name, new Map());
          const row = table.get(name);
          if (!row.has(level)) row.set(level, [0, 0]);
          row.get(level)[place]++;
        }
  }
  return table;
}

function quantile(sorted, q) {
  const at = (sorted.length - 1) * q, low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

// Total seconds that children took, from the first start to the last end, and what the whole space would have taken.
function timing() {
  const list = finished().filter((c) => known(c.seconds));
  const spent = list.reduce((sum, c) => sum + c.seconds, 0);
  const starts = list.map((c) => Math.min(c.started ?? Infinity, c.finished - c.seconds)), ends = list.map((c) => c.finished);
  const wall = list.length ? Math.max(...ends) - Math.min(...starts) : 0;
  let everything = 0, duplicates = 0, mean = 0;
  for (const level of run.space.levels || []) {
    const here = list.filter((c) => c.level === level.level);
    if (here.length) mean = here.reduce((sum, c) => sum + c.seconds, 0) / here.length;
    everything += level.unique * mean;
    if (here.length && here.length >= level.unique) duplicates += (level.raw - level.unique) * mean;
  }
  return { spent, wall, everything, duplicates, fits: run.fits.reduce((sum, f) => sum + (f.report.seconds || 0), 0) };
}
