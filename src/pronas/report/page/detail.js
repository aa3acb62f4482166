// A child's particulars: beside the mouse, and in full in a dialog.
const tooltip = {
  node: el("div", { class: "tooltip", role: "presentation", hidden: true }),
  id: null,
  show(child, x, y) {
    if (this.id !== child.id) {
      this.id = child.id;
      replace(this.node, headline(child), el("div", { class: "numbers" }, summary(child)), cellPicture(child),
        el("code", {}, child.cell), child.error && el("p", { class: "error" }, child.error));
    }
    this.node.hidden = false;
    const { offsetWidth: w, offsetHeight: h } = this.node, [vw, vh] = [document.documentElement.clientWidth, window.innerHeight];
    const left = x + 16 + w > vw ? x - w - 16 : x + 16, top = y + 16 + h > vh ? y - h - 12 : y + 16;
    styled(this.node, { left: Math.max(6, Math.min(left, vw - w - 6)) + "px", top: Math.max(6, Math.min(top, vh - h - 6)) + "px" });
  },
  hide() {
    this.node.hidden = true;
    this.id = null;
  },
};

function headline(child) {
  return el("div", { class: "headline" }, el("span", { class: "swatch b" + colourOf(child.level) }),
    el("strong", {}, child.status === "done" ? fixed(child.reward) : child.status), el("span", { class: "muted" }, ` child ${child.id} · level ${child.level}`));
}

function summary(child) {
  const parts = [];
  if (known(child.predicted)) parts.push("predicted " + fixed(child.predicted) + (child.spread ? " ± " + fixed(child.spread) : ""));
  if (known(child.parameters)) parts.push(compact(child.parameters) + " parameters");
  if (known(child.macs)) parts.push(compact(child.macs) + " MACs");
  if (child.binary_macs) parts.push(compact(child.binary_macs) + " binary MACs");
  if (known(child.seconds)) parts.push(duration(child.seconds));
  return parts.join(" · ");
}

const FACTS = [
  ["status", (c) => c.status], ["reward", (c) => fixed(c.reward)],
  ["predicted", (c) => (known(c.predicted) ? fixed(c.predicted) + (c.spread ? " ± " + fixed(c.spread) : "") : null)],
  ["parameters", (c) => count(c.parameters)], ["multiply-accumulates", (c) => count(c.macs)],
  ["binary multiply-accumulates", (c) => (c.binary_macs ? count(c.binary_macs) : null)],
  ["weight bits", (c) => count(c.weight_bits)], ["activation bytes", (c) => count(c.activation_bytes)],
  ["latency", (c) => (known(c.latency_us) ? compact(c.latency_us) + " µs" : null)],
  ["trained", (c) => (known(c.seconds) ? duration(c.seconds) + (known(c.epochs) ? ", " + plural(c.epochs, "epoch") : "") : null)],
  ["worker", (c) => c.worker], ["attempts", (c) => (c.attempts > 1 ? c.attempts : null)],
];

function factList(child) {
  const rows = FACTS.map(([name, value]) => [name, value(child)]).filter(([, value]) => known(value) && value !== "–");
  return el("dl", { class: "facts" }, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function cellCode(child) {
  const button = el("button", { type: "button", class: "small copy", onclick: () => copyText(child.cell, button) }, "copy");
  return el("div", { class: "code" }, el("code", {}, child.cell), button);
}

let dialog;
function openChild(child) {
  tooltip.hide();
  replace(dialog, el("button", { type: "button", class: "small close", "aria-label": "close", onclick: () => dialog.close() }, "×"),
    headline(child), el("div", { class: "scroll" }, cellPicture(child)), cellCode(child), child.error && el("p", { class: "error" }, child.error), factList(child));
  dialog.showModal();
}
