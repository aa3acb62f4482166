// A plot of children as points: hover, zoom (drag, wheel-free so that pages scroll), arrows and Enter for the keyboard.
const MARGINS = { top: 14, right: 14, bottom: 40, left: 62 };
const charts = [];

class Scatter {
  // spec: {id, label, x, y, xLabel, yLabel, log?, xTicks?, points(), under?(c), over?(c), note?(child), height?, xDomain?}
  constructor(spec) {
    Object.assign(this, { spec, zoom: null, cursor: null, drag: null });
    this.svg = svg("svg", {
      id: spec.id, class: "chart", tabindex: 0, role: "application",
      "aria-label": spec.label + ". Arrow keys go from point to point, Enter opens one, plus and minus zoom, 0 resets.",
      onpointermove: (e) => this.move(e), onpointerleave: () => this.leave(), onpointerdown: (e) => this.down(e),
      onpointerup: (e) => this.up(e), onpointercancel: () => (this.drag = null), ondblclick: () => this.reset(), onkeydown: (e) => this.key(e),
      onblur: () => this.leave(),
    });
    this.resetButton = el("button", { class: "small reset", type: "button", hidden: true, onclick: () => this.reset() }, "reset zoom");
    this.node = el("div", { class: "plot" }, this.svg, this.resetButton);
    charts.push(this);
    new ResizeObserver(() => this.node.clientWidth !== this.width && this.draw()).observe(this.node);
  }

  draw() {
    const { spec } = this;
    this.width = this.node.clientWidth || 640;
    this.height = (window.innerWidth > 760 && spec.height) || Math.round(Math.max(240, Math.min(380, this.width * 0.62)));
    this.points = shown(spec.points()).map((child) => ({ child, x: spec.x(child), y: spec.y(child) })).filter((p) => known(p.x));
    this.scales();
    for (const p of this.points) [p.px, p.py] = [this.sx(p.x), known(p.y) ? this.sy(p.y) : this.floor()];
    const clip = spec.id + "-clip", [w, h] = [this.width, this.height];
    this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    this.svg.setAttribute("height", h);
    this.mark = svg("circle", { class: "mark", r: 7, visibility: "hidden" });
    this.band = svg("rect", { class: "band", visibility: "hidden" });
    this.svg.replaceChildren(
      svg("clipPath", { id: clip }, svg("rect", { x: MARGINS.left, y: MARGINS.top - 6, width: Math.max(0, w - MARGINS.left - MARGINS.right), height: h - MARGINS.top - MARGINS.bottom + 12 })),
      this.axes(),
      svg("g", { "clip-path": `url(#${clip})` }, spec.under ? spec.under(this) : null, this.marks(), spec.over ? spec.over(this) : null, this.mark, this.band));
    this.resetButton.hidden = !this.zoom;
  }

  scales() {
    const { spec } = this, zoom = this.zoom, real = this.points.filter((p) => known(p.y));
    const xs = zoom ? zoom.x : spec.xDomain ? spec.xDomain(this) : padded(this.points.map((p) => p.x), 0.03, spec.log);
    const ys = zoom ? zoom.y : padded(real.map((p) => p.y), 0.06);
    this.sx = (spec.log ? logarithmic : linear)(...xs, MARGINS.left, this.width - MARGINS.right);
    this.sy = linear(...ys, this.height - MARGINS.bottom, MARGINS.top);
  }

  floor() {
    return this.height - MARGINS.bottom - 4;
  }

  axes() {
    const g = svg("g", { class: "axes" }), { width: w, height: h, spec } = this, bottom = h - MARGINS.bottom;
    for (const [value, text] of this.sy.ticks(Math.max(3, h / 55))) {
      const y = this.sy(value);
      g.append(svg("line", { class: "grid", x1: MARGINS.left, x2: w - MARGINS.right, y1: y, y2: y }), svg("text", { class: "ty", x: MARGINS.left - 8, y }, text));
    }
    for (const [value, text] of spec.xTicks ? spec.xTicks(this) : this.sx.ticks(Math.max(3, w / 90))) {
      const x = this.sx(value);
      if (x < MARGINS.left - 1 || x > w - MARGINS.right + 1) continue;
      g.append(svg("line", { class: "tick", x1: x, x2: x, y1: bottom, y2: bottom + 5 }), svg("text", { class: "tx", x, y: bottom + 17 }, text));
    }
    g.append(svg("line", { class: "axis", x1: MARGINS.left, x2: w - MARGINS.right, y1: bottom, y2: bottom }),
      svg("text", { class: "label", x: (MARGINS.left + w - MARGINS.right) / 2, y: h - 6 }, spec.xLabel),
      svg("text", { class: "label", transform: `translate(12 ${(MARGINS.top + bottom) / 2}) rotate(-90)` }, spec.yLabel));
    return g;
  }

  marks() {
    const g = svg("g", { class: "points" });
    const radius = this.points.length > 600 ? 2.6 : 3.4;
    for (const { child, px, py } of this.points) {
      const level = "pt v" + colourOf(child.level);
      g.append(child.status === "failed"
        ? svg("path", { class: level + " failed", "data-id": child.id, d: `M${px - 3} ${py - 3}l6 6m0-6l-6 6` })
        : svg("circle", { class: level, "data-id": child.id, cx: px.toFixed(1), cy: py.toFixed(1), r: radius }));
    }
    return g;
  }

  place(event) {
    const frame = this.svg.getBoundingClientRect();
    return [(event.clientX - frame.left) * (this.width / frame.width), (event.clientY - frame.top) * (this.height / frame.height)];
  }

  nearest(x, y, within = 24) {
    let best = null, least = within * within;
    for (const p of this.visible()) {
      const d = (p.px - x) ** 2 + (p.py - y) ** 2;
      if (d < least || (d === least && !best)) [best, least] = [p, d];
    }
    return best;
  }

  visible() {
    const [left, right, top, bottom] = [MARGINS.left - 2, this.width - MARGINS.right + 2, MARGINS.top - 4, this.height - MARGINS.bottom + 4];
    return this.points.filter((p) => p.px >= left && p.px <= right && p.py >= top && p.py <= bottom);
  }

  move(event) {
    const [x, y] = this.place(event);
    if (this.drag) return this.stretch(x, y);
    this.show(this.nearest(x, y));
  }

  show(point) {
    this.mark.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return tooltip.hide();
    this.mark.setAttribute("cx", point.px);
    this.mark.setAttribute("cy", point.py);
    const frame = this.svg.getBoundingClientRect();
    tooltip.show(point.child, frame.left + (point.px * frame.width) / this.width, frame.top + (point.py * frame.height) / this.height);
  }

  leave() {
    if (!this.drag) this.show(null);
  }

  down(event) {
    const [x, y] = this.place(event);
    this.drag = { x, y, id: event.pointerId, mouse: event.pointerType === "mouse" };
    if (this.drag.mouse) this.svg.setPointerCapture(event.pointerId);
  }

  stretch(x, y) {
    if (!this.drag.mouse || Math.hypot(x - this.drag.x, y - this.drag.y) < 6) return;
    this.show(null);
    const [x0, x1] = [Math.min(x, this.drag.x), Math.max(x, this.drag.x)], [y0, y1] = [Math.min(y, this.drag.y), Math.max(y, this.drag.y)];
    this.drag.box = [x0, x1, y0, y1];
    for (const [name, value] of [["x", x0], ["y", y0], ["width", x1 - x0], ["height", y1 - y0], ["visibility", "visible"]]) this.band.setAttribute(name, value);
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.box) {
      const [x0, x1, y0, y1] = drag.box;
      this.zoomTo([this.sx.invert(x0), this.sx.invert(x1)], [this.sy.invert(y1), this.sy.invert(y0)]);
    } else {
      const point = this.nearest(...this.place(event));
      if (point) openChild(point.child);
    }
  }

  zoomTo(x, y) {
    this.zoom = { x, y };
    this.draw();
  }

  reset() {
    this.zoom = null;
    this.draw();
  }

  scaleBy(factor) {
    const at = this.cursor !== null && this.points[this.cursor];
    const cx = at ? at.px : (MARGINS.left + this.width - MARGINS.right) / 2, cy = at ? at.py : (MARGINS.top + this.height - MARGINS.bottom) / 2;
    const part = (c, low, high) => [c + (low - c) * factor, c + (high - c) * factor];
    const [x0, x1] = part(cx, MARGINS.left, this.width - MARGINS.right), [y0, y1] = part(cy, this.height - MARGINS.bottom, MARGINS.top);
    this.zoomTo([this.sx.invert(x0), this.sx.invert(x1)], [this.sy.invert(y0), this.sy.invert(y1)]);
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10 };
    if (event.key in steps) this.step(steps[event.key]);
    else if (event.key === "Enter" && this.focused) openChild(this.focused.child);
    else if (event.key === "+" || event.key === "=") this.scaleBy(0.6);
    else if (event.key === "-") this.scaleBy(1 / 0.6);
    else if (event.key === "0") this.reset();
    else if (event.key === "Escape") this.leave();
    else return;
    event.preventDefault();
  }

  step(by) {
    const list = this.visible().sort((a, b) => a.px - b.px || b.py - a.py);
    if (!list.length) return;
    const at = this.focused ? list.findIndex((p) => p.child.id === this.focused.child.id) : -1;
    this.focused = list[at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.max(0, Math.min(list.length - 1, at + by))];
    this.cursor = this.points.indexOf(this.focused);
    this.show(this.focused);
    announce(`child ${this.focused.child.id}, level ${this.focused.child.level}, reward ${fixed(this.focused.child.reward)}, ${this.focused.child.cell}`);
  }
}

const colourOf = (level) => ((level - 1) % 8) + 1;
