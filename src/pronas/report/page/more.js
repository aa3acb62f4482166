// What reviewers of a search ask: learning curves of all children, the workers' time line, limits, mistakes, the plan.
class Curves {
  constructor() {
    this.svg = svg("svg", { id: "learning-curves", class: "chart", role: "img", "aria-label": "Learning curves of all children" });
    this.node = el("div", { class: "plot" }, this.svg);
    charts.push(this);
    new ResizeObserver(() => this.node.clientWidth !== this.width && this.draw()).observe(this.node);
  }

  draw() {
    const list = shown(done()).filter((c) => run.curves[c.id]), w = (this.width = this.node.clientWidth || 640), h = Math.round(Math.max(240, Math.min(360, w * 0.45)));
    const longest = Math.max(2, ...list.map((c) => run.curves[c.id].length)), best = byReward(list)[0];
    const sx = linear(1, longest, MARGINS.left, w - MARGINS.right), sy = linear(...padded(list.flatMap((c) => run.curves[c.id]).filter(known), 0.05), h - MARGINS.bottom, MARGINS.top);
    const path = (c) => run.curves[c.id].map((v, i) => (known(v) ? `${i ? "L" : "M"}${sx(i + 1).toFixed(1)} ${sy(v).toFixed(1)}` : "")).join("").replace(/^L/, "M");
    const line = (c, kind) => svg("path", { class: `${kind} c${colourOf(c.level)}`, "data-id": c.id, d: path(c), onclick: () => openChild(c), onpointermove: (e) => tooltip.show(c, e.clientX, e.clientY), onpointerleave: () => tooltip.hide() });
    this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    this.svg.setAttribute("height", h);
    this.svg.replaceChildren(plainAxes(sx, sy, w, h, "epoch", "validation accuracy"), ...list.map((c) => line(c, "curve")), ...(best ? [line(best, "curve first")] : []));
  }
}

function plainAxes(sx, sy, w, h, xLabel, yLabel) {
  const g = svg("g", { class: "axes" });
  for (const [value, text] of sy ? sy.ticks(4) : []) g.append(svg("line", { class: "grid", x1: MARGINS.left, x2: w - MARGINS.right, y1: sy(value), y2: sy(value) }), svg("text", { class: "ty", x: MARGINS.left - 8, y: sy(value) }, text));
  for (const [value, text] of sx.ticks(Math.max(2, w / 110)).filter(([v]) => xLabel !== "epoch" || Number.isInteger(v))) g.append(svg("text", { class: "tx", x: sx(value), y: h - MARGINS.bottom + 17 }, xLabel === "epoch" ? value : text));
  const middle = (h - MARGINS.bottom) / 2;
  g.append(svg("line", { class: "axis", x1: MARGINS.left, x2: w - MARGINS.right, y1: h - MARGINS.bottom, y2: h - MARGINS.bottom }), svg("text", { class: "label", x: (MARGINS.left + w) / 2, y: h - 6 }, xLabel),
    yLabel && svg("text", { class: "label", transform: `translate(14 ${middle}) rotate(-90)` }, yLabel));
  return g;
}

function learningCurves() {
  const chart = new Curves(), node = section("curves", "Learning curves", "Validation accuracy of every child by epoch, in the colour of its level; the best child's is thick.", chart.node);
  return { node, update: () => { node.hidden = !done().some((c) => run.curves[c.id]); node.hidden || chart.draw(); } };
}

class TimeLine {
  constructor() {
    this.svg = svg("svg", { id: "worker-line", class: "chart", role: "img", "aria-label": "Which worker trained which child when" });
    this.node = el("div", { class: "plot" }, this.svg);
    charts.push(this);
    new ResizeObserver(() => this.node.clientWidth !== this.width && this.draw()).observe(this.node);
  }

  draw() {
    const list = timed(), names = [...new Set(list.map((c) => c.worker))].sort(), w = (this.width = this.node.clientWidth || 640);
    const row = Math.max(14, Math.min(30, 360 / names.length)), h = MARGINS.top + names.length * row + MARGINS.bottom;
    const start = Math.min(...list.map((c) => c.finished - c.seconds)), sx = linear(0, Math.max(...list.map((c) => c.finished)) - start, MARGINS.left, w - MARGINS.right);
    const block = (c) => {
      const x = sx(c.finished - c.seconds - start), width = Math.max(1, sx(c.finished - start) - x - 0.5);
      return svg("rect", { class: `v${colourOf(c.level)} block${c.status === "failed" ? " lost" : ""}`, x, width, y: MARGINS.top + names.indexOf(c.worker) * row + 1, height: row - 2, rx: 2, "data-id": c.id,
        onclick: () => openChild(c), onpointermove: (e) => tooltip.show(c, e.clientX, e.clientY), onpointerleave: () => tooltip.hide() });
    };
    this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    this.svg.setAttribute("height", h);
    this.svg.replaceChildren(plainAxes(sx, null, w, h, "seconds since the first child began"), ...names.map((name, i) => svg("text", { class: "ty", x: MARGINS.left - 6, y: MARGINS.top + (i + 0.5) * row }, svg("title", {}, name), name.length > 8 ? "…" + name.slice(-7) : name)), ...list.map(block));
  }
}
const timed = () => shown(finished()).filter((c) => known(c.worker) && known(c.seconds) && known(c.finished));

function timeLine() {
  const chart = new TimeLine(), note = el("p", { class: "muted small-text" }), node = section("workers", "Workers", "Each block is a child, in the colour of its level; gaps are time in which a worker had nothing to do.", chart.node, note);
  const update = () => {
    const list = timed();
    node.hidden = !list.length;
    if (node.hidden) return;
    chart.draw();
    const busy = list.reduce((sum, c) => sum + c.seconds, 0), from = Math.min(...list.map((c) => c.finished - c.seconds)), to = Math.max(...list.map((c) => c.finished)), n = new Set(list.map((c) => c.worker)).size;
    note.textContent = `${plural(n, "worker")}, busy ${percent(Math.min(1, busy / ((to - from) * n || 1)), 0)} of the time`;
  };
  return { node, update };
}

const LIMITS = [
  ["parameters", "parameters", (f) => f.parameters], ["macs", "multiply-accumulates", (f) => (known(f.macs) ? f.macs + (f.binary_macs || 0) : null)], ["bits", "weight bits", (f) => f.weight_bits],
  ["latency_us", "latency, µs", (f) => f.latency_us], ["flash", "bytes of flash", (f) => f.flash], ["ram", "bytes of RAM", (f) => f.ram],
];

function limits() {
  const body = el("div", {}), node = section("limits", "Limits", "How much of each limit the winner takes. A limit binds where hardly anything of it is left: a looser one might give a better network.", body);
  const update = () => {
    const given = (run.meta.config && run.meta.config.limits) || {}, final = run.meta.final, best = byReward(done())[0], measured = final ? { ...final, latency_us: final.latency_us ?? (all().find((c) => c.cell === final.cell) || {}).latency_us, ...exportedSizes(final) } : best || {};
    const rows = LIMITS.filter(([key]) => typeof given[key] === "number").map(([key, name, value]) => [name, given[key], value(measured)]);
    node.hidden = !rows.length;
    replace(body, el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["limit", "at most", final ? "the winner" : "the best child", "taken", ""].map((h) => (h ? el("th", { scope: "col" }, h) : el("td", {}))))),
      el("tbody", {}, rows.map(([name, most, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, count(most)), el("td", {}, count(value)), el("td", {}, known(value) ? percent(value / most, 0) : "–"),
        el("td", {}, known(value) && value / most >= 0.9 ? el("strong", {}, "binds") : "")))))));
  };
  return { node, update };
}

// of the last file that says so; before an export, as the plan of the network has them
function exportedSizes(final) {
  const last = [...(run.exports || [])].reverse(), number = (name) => { const found = last.find((row) => row[name] && /\d/.test(row[name])); return found ? parseInt(String(found[name]).replace(/\D/g, ""), 10) : null; };
  return { flash: number("flash") ?? final.flash, ram: number("ram") ?? final.ram };
}

function mistakes() {
  const body = el("div", {}), node = section("mistakes", "Mistakes", "Test images that the winner gets wrong: first those of the classes it confuses most, then those of which it was surest. Below each, what it is and what the network said, with its probability.", body);
  let key = "";
  const update = () => {
    const found = run.mistakes || {}, now = JSON.stringify(found);
    node.hidden = !(found.pairs || []).length && !(found.surest || []).length;
    if (node.hidden || now === key) return;
    key = now;
    replace(body, (found.pairs || []).map((pair) => el("figure", {}, el("figcaption", {}, `${pair.true} taken for ${pair.said}: ${plural(pair.count, "image")}`), pictures(pair.images))),
      (found.surest || []).length ? el("figure", {}, el("figcaption", {}, "Surest of what is wrong"), pictures(found.surest)) : null);
  };
  return { node, update };
}

const pictures = (list) => el("ul", { class: "pictures" }, list.map((one) => el("li", {}, el("img", { src: one.picture, alt: `${one.true}, taken for ${one.said}` }),
  el("span", {}, one.true), el("span", { class: "muted" }, `${one.said} ${percent(one.share, 0)}`), el("span", { class: "muted" }, `true class ${percent(one.truth, 0)}`))));

// What a budget is for, and what is left of it; by numbers, what is left of the level.
function planned() {
  const body = el("div", {}), node = section("plan", "The plan", null, body);
  const update = () => {
    const plan = run.meta.plan, state = run.meta.state;
    node.hidden = !(plan && known(plan.budget)) && !(run.live && state === "searching");
    if (node.hidden) return;
    replace(body, plan && known(plan.budget) ? budgetRows(plan) : levelRows());
  };
  return { node, update };
}

function budgetRows(plan) {
  const end = run.meta.ends ?? plan.budget, spent = Math.min(end, run.meta.spent ?? 0), over = run.meta.state === "done", trials = run.meta.verdict ? 1 : (run.meta.trials || []).filter((t) => t && t.what !== "shape").length / Math.max(1, plan.finalists + 1);
  const children = done().length, expected = plan.first + plan.children * (plan.levels - 1), final = run.meta.final;
  const phases = [
    ["search", `${count(children)} of about ${count(Math.max(expected, children))} children`, plan.search, over || run.meta.verdict || state("training") ? 1 : Math.min(1, spent / plan.search)],
    ["trials of the best", `${plural(plan.finalists, "finalist")} and recipes`, plan.trials, over || state("training") ? 1 : Math.min(1, trials)],
    ["the winner", "all images, until the time is up", end, over || final ? 1 : state("training") ? Math.max(0, Math.min(1, (spent - plan.trials) / (end - plan.trials || 1))) : 0],
  ];
  return [el("p", { class: "lead", id: "time-left" }, over ? `Done; ${duration(spent)} of ${duration(end)} were used.` : `${duration(spent)} of ${duration(end)} are spent, ${duration(Math.max(0, end - spent))} left.`),
    el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["phase", "done", "until", "what"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, phases.map(([name, what, until, share]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("progress", { max: 1, value: share.toFixed(3), "aria-label": name }), " " + percent(share, 0)), el("td", {}, duration(until)), el("td", {}, what))))))];
}
const state = (name) => run.meta.state === name;

function levelRows() {
  if (!all().length) return el("p", { class: "lead", id: "time-left" }, (run.meta.config?.search || {}).budget ? "It is measured how fast this machine is; then the plan stands here." : "No child has begun yet.");
  const level = Math.max(0, ...levels()), here = all().filter((c) => c.level === level), settled = here.filter((c) => c.status === "done" || c.status === "failed"), most = run.space.blocks;
  const ends = settled.map((c) => c.finished).filter(known), from = Math.min(...settled.map((c) => c.finished - (c.seconds || 0))), pace = ends.length > 1 ? (Math.max(...ends) - from) / ends.length : null;
  const left = known(pace) ? `about ${duration(Math.round(pace * (here.length - settled.length)))} left of it` : "";
  return el("p", { class: "lead", id: "time-left" }, [`Level ${level}${most ? " of " + most : ""}: ${count(settled.length)} of ${plural(here.length, "child", "children")}`, left].filter(Boolean).join(", ") + ".");
}
