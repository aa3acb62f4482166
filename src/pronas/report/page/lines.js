// Curves over epochs: a small plot of one or more named series that share an axis.
class Lines {
  constructor(id, label, series, yLabel) {
    Object.assign(this, { id, series, yLabel });
    this.svg = svg("svg", { id, class: "chart", role: "img", "aria-label": label, onpointermove: (e) => this.move(e), onpointerleave: () => this.leave() });
    this.legend = el("div", { class: "legend" });
    this.node = el("div", { class: "plot" }, this.svg, this.legend);
    charts.push(this);
    new ResizeObserver(() => this.node.clientWidth !== this.width && this.draw()).observe(this.node);
  }

  draw() {
    const w = (this.width = this.node.clientWidth || 420), h = Math.round(Math.max(190, Math.min(260, w * 0.5)));
    const values = this.series.flatMap(([, list]) => list.filter(known)), longest = Math.max(...this.series.map(([, list]) => list.length));
    this.sx = linear(1, Math.max(2, longest), MARGINS.left, w - MARGINS.right);
    this.sy = linear(...padded(values, 0.06), h - MARGINS.bottom, MARGINS.top);
    this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    this.svg.setAttribute("height", h);
    const g = svg("g", { class: "axes" });
    for (const [value, text] of this.sy.ticks(4)) {
      const y = this.sy(value);
      g.append(svg("line", { class: "grid", x1: MARGINS.left, x2: w - MARGINS.right, y1: y, y2: y }), svg("text", { class: "ty", x: MARGINS.left - 8, y }, text));
    }
    const epochs = this.sx.ticks(Math.min(longest, w / 80)).filter(([value]) => Number.isInteger(value) && value > longest / 12);
    for (const [value, text] of [[1, "1"], ...epochs])
      g.append(svg("text", { class: "tx", x: this.sx(value), y: h - MARGINS.bottom + 17 }, text));
    g.append(svg("line", { class: "axis", x1: MARGINS.left, x2: w - MARGINS.right, y1: h - MARGINS.bottom, y2: h - MARGINS.bottom }),
      svg("text", { class: "label", x: (MARGINS.left + w - MARGINS.right) / 2, y: h - 6 }, "epoch"),
      svg("text", { class: "label", transform: `translate(12 ${(h - MARGINS.bottom) / 2}) rotate(-90)` }, this.yLabel));
    this.rule = svg("line", { class: "rule", y1: MARGINS.top, y2: h - MARGINS.bottom, visibility: "hidden" });
    const lines = this.series.map(([, list], i) => svg("path", { class: "line s" + (i + 1), d: this.path(list) }));
    this.svg.replaceChildren(g, ...lines, this.rule);
    this.showLegend(null);
  }

  path(list) {
    let d = "", pen = "M";
    list.forEach((value, i) => {
      if (!known(value)) return (pen = "M");
      d += `${pen}${this.sx(i + 1).toFixed(1)} ${this.sy(value).toFixed(1)}`;
      pen = "L";
    });
    return d;
  }

  showLegend(epoch) {
    replace(this.legend, this.series.map(([name, list], i) => el("span", {}, el("span", { class: "dash s" + (i + 1) }), name,
      el("b", {}, " " + fixed(epoch === null ? list[list.length - 1] : list[epoch - 1])))),
      el("span", { class: "muted" }, epoch === null ? "last epoch" : "epoch " + epoch));
  }

  move(event) {
    const frame = this.svg.getBoundingClientRect(), longest = Math.max(...this.series.map(([, list]) => list.length));
    const epoch = Math.max(1, Math.min(longest, Math.round(this.sx.invert(((event.clientX - frame.left) * this.width) / frame.width))));
    for (const name of ["x1", "x2"]) this.rule.setAttribute(name, this.sx(epoch));
    this.rule.setAttribute("visibility", "visible");
    this.showLegend(epoch);
  }

  leave() {
    this.rule.setAttribute("visibility", "hidden");
    this.showLegend(null);
  }
}

// Curves whose names speak of the same thing share a plot.
function curvePlots(curves) {
  const groups = new Map();
  for (const [name, list] of Object.entries(curves)) {
    if (!Array.isArray(list) || !list.some((v) => typeof v === "number")) continue;
    const kind = /loss/i.test(name) ? "loss" : /acc/i.test(name) ? "accuracy" : name;
    if (!groups.has(kind)) groups.set(kind, []);
    groups.get(kind).push([name.replaceAll("_", " "), list.map((v) => (typeof v === "number" ? v : null))]);
  }
  return [...groups].slice(0, 4).map(([kind, series], i) => new Lines("curves-" + i, kind + " by epoch", series.slice(0, 6), kind.replaceAll("_", " ")));
}
