// The winner, the time, the configuration, and what is running now.
function winner() {
  const body = el("div", {}), node = section("winner", "The winner", null, body);
  let key = "";
  const update = () => {
    const final = run.meta.final, best = byReward(done())[0], curves = final && final.curves ? final.curves : run.metrics;
    node.hidden = !(final || (curves && best));
    const now = JSON.stringify([final, run.metrics, run.meta.comparison, run.exports]);
    if (node.hidden || now === key) return;
    key = now;
    for (let i = charts.length - 1; i >= 0; i--) if (charts[i] instanceof Lines) charts.splice(i, 1);
    const plots = curvePlots(curves || {}), child = final && all().find((c) => c.cell === final.cell);
    replace(body, el("p", { class: "lead" }, final ? "Training of the winner to the end." : "Not trained to the end yet; these are the best child's curves."),
      final && el("div", { class: "pair" }, el("div", { class: "scroll picture" }, child && cellPicture(child)), el("div", {}, cellCode({ cell: final.cell || "" }), finalFacts(final))),
      el("div", { class: "pair" }, plots.map((plot) => plot.node)), handMade(run.meta.comparison), exported(run.exports || []), final && final.confusion && confusion(final), classFigures(run.classes || []));
    plots.forEach((plot) => plot.draw());
  };
  return { node, update };
}

function finalFacts(final) {
  const rows = [["test accuracy", percent(final.test_accuracy)], ["validation accuracy", percent(final.validation_accuracy)],
    ["validation accuracy of its child", percent(final.trial_accuracy)], ["the same images, learnt", percent(final.learnt_accuracy)], ["weights", { winner: "the winner's", child: "its child's" }[final.kept] || "–"], ["parameters", count(final.parameters)],
    ["weight bits", count(final.weight_bits)], ["trained in", duration(final.seconds)]].filter(([, value]) => value !== "–");
  return el("dl", { class: "facts" }, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function confusion(final) {
  const matrix = final.confusion, names = matrix.map((_, i) => String((final.classes || [])[i] ?? i)), dense = matrix.length > 20;
  const body = matrix.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0) || 1;
    return el("tr", {}, el("th", { scope: "row" }, names[i]), row.map((n, j) => styled(el("td", { class: "heat" + (i === j ? " hit" : ""), title: `${names[i]} taken for ${names[j]}: ${n} of ${total}` },
      dense ? null : n || el("span", { class: "zero" }, "·")), { "--heat": (i === j ? n / total : Math.min(1, (n / total) * 4)).toFixed(3) })));
  });
  return el("figure", {}, el("figcaption", {}, "Confusion matrix on test data: rows are the true classes, columns what the network said; blue is right, orange wrong (colour four times as strong)."),
    el("div", { class: "scroll" }, el("table", { class: "data confusion" + (dense ? " dense" : "") }, dense ? null : el("thead", {}, el("tr", {}, el("td", {}), names.map((n) => el("th", { scope: "col" }, n)))), el("tbody", {}, body))));
}

function classFigures(rows) {
  if (!rows.length) return null;
  const heads = ["class", "images", "recall", "precision", "F1"];
  const body = rows.map(([name, support, ...shares]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, count(support)), shares.map((share) => el("td", {}, percent(share)))));
  return el("figure", { id: "classes" }, el("figcaption", {}, "Classes on test data: recall is the share of a class's images that were found, precision the share of those called so that are."),
    el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, body))));
}

function handMade(comparison) {
  if (!comparison || !Array.isArray(comparison.baselines)) return null;
  const heads = ["network", "augmentation", "test accuracy", "parameters", "trained in"];
  const body = comparison.baselines.filter(known).map((b) => el("tr", {}, el("th", { scope: "row" }, String(b.name)), el("td", {}, String(b.recipe)), [percent(b.test_accuracy), count(b.parameters), duration(b.seconds)].map((v) => el("td", {}, v))));
  return el("figure", { id: "hand-made" }, el("figcaption", {}, "Hand-made networks under the same limits, each for the search's whole time. " + (comparison.text || "")),
    el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, body))));
}

function exported(rows) {
  if (!rows.length) return null;
  const heads = ["file", "format", "accuracy", "same class", "bytes", "flash", "ram"];
  const body = rows.map((row) => el("tr", {}, heads.map((name, i) => el(i ? "td" : "th", i ? {} : { scope: "row" }, row[name] || "–"))));
  return el("figure", { id: "exports" }, el("figcaption", {}, "Exported files, and how integers do beside floats."),
    el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, body))));
}

function time() {
  const list = el("dl", { class: "facts" }), node = section("time", "Time spent and saved", null, list);
  const update = () => {
    const t = timing(), rows = [["in children, all workers together", duration(t.spent)], ["from the first start to the last end", duration(t.wall)]];
    node.hidden = !t.spent;
    if (t.wall && t.spent > t.wall * 1.05) rows.push(["children at once, on average", (t.spent / t.wall).toFixed(1)]);
    if (t.fits) rows.push(["fitting the predictor", duration(t.fits)]);
    if (run.meta.final && known(run.meta.final.seconds)) rows.push(["training the winner", duration(run.meta.final.seconds)]);
    if (t.duplicates) rows.push(["saved by not training symmetric twins", duration(t.duplicates)]);
    if (t.everything > t.spent) rows.push(["training every distinct cell of the space, at this pace", duration(t.everything)]);
    replace(list, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  };
  return { node, update };
}

const moment = (time) => (typeof time === "number" ? new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC" : time);

function flatten(value, prefix = "") {
  if (known(value) && typeof value === "object" && !Array.isArray(value)) return Object.entries(value).flatMap(([key, inner]) => flatten(inner, prefix ? prefix + "." + key : key));
  return known(value) ? [[prefix, Array.isArray(value) ? value.map((v) => (typeof v === "object" ? JSON.stringify(v) : v)).join(", ") : String(value)]] : [];
}

function configuration() {
  const body = el("div", {}), node = section("configuration", "Configuration", null, body);
  let key = "";
  const update = () => {
    const rows = [...flatten({ dataset: run.meta.dataset }), ...flatten(run.meta.config || {}), ...flatten({ pronas: run.meta.version, created: moment(run.meta.created) })];
    node.hidden = !rows.length;
    if (JSON.stringify(rows) === key) return;
    key = JSON.stringify(rows);
    const half = rows.length > 24 ? Math.ceil(rows.length / 2) : rows.length, parts = [rows.slice(0, half), rows.slice(half)].filter((part) => part.length);
    body.className = parts.length > 1 ? "pair" : "";
    replace(body, parts.map((part) => el("div", { class: "scroll" }, el("table", { class: "data config" }, el("tbody", {}, part.map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))))))));
  };
  return { node, update };
}

// A driver that died leaves its children behind as running; the clocks are those of one machine.
function silence(now) {
  const seconds = known(now.updated) ? Date.now() / 1000 - now.updated : 0;
  return seconds > 120 ? el("small", { class: "muted" }, ` no news for ${duration(seconds)}`) : null;
}

function runningNow() {
  const body = el("tbody", {}), heads = ["child", "level", "epoch", "accuracy so far", "cell"];
  const node = section("running", "Training now", null, el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))), body)));
  const update = () => {
    node.hidden = !run.live || !run.running.length;
    replace(body, run.running.map((now) => {
      const child = run.children.get(now.child);
      const bar = el("progress", { max: now.epochs || 1, value: now.epoch || 0, "aria-label": "epochs" });
      return el("tr", { "data-child": now.child }, el("td", {}, now.child), el("td", {}, child ? child.level : "–"), el("td", {}, bar, ` ${now.epoch ?? 0}/${now.epochs ?? "?"}`),
        el("td", {}, fixed(now.accuracy), silence(now)), el("td", { class: "cell" }, child ? cellButton(child) : "–"));
    }));
  };
  return { node, update };
}
