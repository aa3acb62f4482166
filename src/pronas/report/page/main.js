function start() {
  const message = JSON.parse(document.getElementById("data").textContent);
  dialog = el("dialog", { class: "child", "aria-label": "child", onclick: (e) => e.target === dialog && dialog.close() });
  if (message.runs) return startComparison(message.runs);
  receive(message);
  const parts = [];
  let due = 0;
  const refresh = () => {
    due = 0;
    for (const part of parts) part.update();
    document.title = (run.live && run.running.length ? "▶ " : "") + run.name + " · pronas";
  };
  // many events may come at once: draw once for all of them, and not more than four times a second
  const changed = () => (due ||= setTimeout(() => requestAnimationFrame(refresh), run.live ? 200 : 0));
  parts.push(header(), planned(), filterBar(refresh), runningNow(), rewards(), predictor(), usageSection(), pareto(), limits(), bestCells(), winner(), mistakes(), learningCurves(), childTable(), timeLine(), time(), configuration());
  document.getElementById("page").append(...parts.map((part) => part.node));
  document.body.append(dialog, tooltip.node, el("div", { id: "announce", class: "offscreen", "aria-live": "polite" }),
    el("footer", {}, "made by pronas", run.live ? "; read-only, live" : ""));
  // what is seen first is drawn first
  parts.slice(0, 5).forEach((part) => part.update());
  performance.mark("first-plot");
  setTimeout(() => {
    refresh();
    performance.mark("all");
    document.documentElement.dataset.ready = "true";
  });
  window.addEventListener("scroll", () => tooltip.hide(), { passive: true });
  window.addEventListener("beforeprint", () => charts.forEach((chart) => chart.draw()));
  if (run.live) {
    connect(changed);
    setInterval(() => run.running.length && changed(), 15000);
  }
}
function startComparison(messages) {
  document.getElementById("page").append(...sideBySide(messages));
  document.body.append(dialog, tooltip.node, el("div", { id: "announce", class: "offscreen", "aria-live": "polite" }), el("footer", {}, "made by pronas"));
  document.documentElement.dataset.ready = "true";
}
start();
