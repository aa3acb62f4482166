// Two runs side by side: what differs, how well and how fast each went, their best cells.
const FRESH = { children: new Map(), pictures: {}, fits: [], running: [], meta: {}, space: {}, sizes: {}, metrics: {}, classes: [], exports: [], curves: {}, mistakes: {} };

function withRun(message, look) {
  Object.assign(run, FRESH, { children: new Map(), pictures: {}, curves: {} });
  receive(message);
  return look();
}

function error95(final, data) {
  const n = data && data.test;
  return final && known(final.test_accuracy) && n ? 1.96 * Math.sqrt((final.test_accuracy * (1 - final.test_accuracy)) / n) : null;
}

function sideFacts() {
  const final = run.meta.final || {}, best = byReward(done())[0], t = timing(), error = error95(run.meta.final, run.meta.dataset);
  return {
    state: run.meta.state || "–", "test accuracy": percent(final.test_accuracy) + (known(error) ? ` ± ${(100 * error).toFixed(2)}` : ""), "best child": best ? percent(best.reward) : "–", parameters: count(final.parameters),
    "multiply-accumulates": known(final.macs) ? compact(final.macs + (final.binary_macs || 0)) : "–", "weights": known(final.weight_bits) ? compact(final.weight_bits / 8) + "B" : "–", children: count(done().length),
    "time in children": duration(t.spent), "on the clock": duration(t.wall), "training the winner": duration(final.seconds), "did it pay": (run.meta.comparison || {}).text || "–",
  };
}

function bestByTime() {
  const list = finished().filter((c) => c.status === "done" && known(c.finished)), start = list.length ? Math.min(...list.map((c) => c.finished - (c.seconds || 0))) : 0, points = [];
  for (const c of list) if (!points.length || c.reward > points[points.length - 1][1]) points.push([c.finished - start, c.reward]);
  return { points, end: list.length ? Math.max(...list.map((c) => c.finished)) - start : 0 };
}

function sideBySide(messages) {
  const names = messages.map((m, i) => `${"AB"[i]}: ${m.name}`), facts = messages.map((m) => withRun(m, sideFacts)), times = messages.map((m) => withRun(m, bestByTime));
  const settings = messages.map((m) => withRun(m, () => Object.fromEntries([...flatten({ dataset: run.meta.dataset }), ...flatten(run.meta.config || {})])));
  const cells = messages.map((m) => withRun(m, () => { const text = (run.meta.final || byReward(done())[0] || {}).cell, child = all().find((c) => c.cell === text); return [text, child && cellPicture(child)]; }));
  const differing = [...new Set(settings.flatMap(Object.keys))].filter((k) => settings[0][k] !== settings[1][k]).sort();
  const table = (id, head, rows) => el("div", { class: "scroll" }, el("table", { class: "data sides", id }, el("thead", {}, el("tr", {}, [head, ...names].map((h) => (h ? el("th", { scope: "col" }, h) : el("td", {}))))), el("tbody", {}, rows.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, name), values.map((v) => el("td", {}, v)))))));
  return [
    el("header", {}, el("div", { class: "title" }, el("h1", {}, names.join(" · ")), themeButton())),
    section("facts", "Side by side", verdict(messages), table("facts-table", "", Object.keys(facts[0]).map((k) => [k, facts[0][k], facts[1][k]]))),
    section("best", "Best so far", "The best reward by the time since each search's first child began.", bestChart(times, names)),
    section("cells", "Cells", null, el("div", { class: "pair" }, cells.map(([text, drawn], i) => el("div", { class: "card" }, el("h3", {}, names[i]), el("div", { class: "picture" }, drawn), text ? cellCode({ cell: text }) : el("p", { class: "muted" }, "no child is trained yet"))))),
    section("differences", "What was set otherwise", differing.length ? null : "Nothing: the settings and the images are the same.", differing.length ? table("settings-table", "setting", differing.map((k) => [k, settings[0][k] ?? "–", settings[1][k] ?? "–"])) : null),
  ];
}

function verdict(messages) {
  const found = messages.map((m) => withRun(m, () => [run.meta.final && run.meta.final.test_accuracy, error95(run.meta.final, run.meta.dataset), (run.meta.dataset || {}).fingerprint]));
  if (found.some(([accuracy]) => !known(accuracy))) return "Not both have a winner yet.";
  const points = 100 * (found[0][0] - found[1][0]), error = 100 * Math.hypot(found[0][1] || 0, found[1][1] || 0), same = found[0][2] === found[1][2];
  return `A is ${Math.abs(points).toFixed(2)} ± ${error.toFixed(2)} points ${points < 0 ? "worse" : "better"} on test images than B${Math.abs(points) <= error ? ": no more than chance" : ""}.${same ? "" : " Their images are not the same."}`;
}

function bestChart(times, names) {
  const w = Math.min(1130, Math.max(300, document.documentElement.clientWidth - 48)), h = Math.round(Math.max(220, Math.min(340, w * 0.4))), end = Math.max(1, ...times.map((t) => t.end));
  const sx = linear(0, end, MARGINS.left, w - MARGINS.right), sy = linear(...padded(times.flatMap((t) => t.points.map(([, v]) => v)), 0.06), h - MARGINS.bottom, MARGINS.top);
  const path = ({ points, end: last }) => points.map(([x, v], i) => (i ? `H${sx(x).toFixed(1)}V${sy(v).toFixed(1)}` : `M${sx(x).toFixed(1)} ${sy(v).toFixed(1)}`)).join("") + (points.length ? `H${sx(last).toFixed(1)}` : "");
  return el("div", { class: "plot" }, svg("svg", { id: "best-chart", class: "chart", role: "img", "aria-label": "Best reward by time, of both runs", viewBox: `0 0 ${w} ${h}` },
    plainAxes(sx, sy, w, h, "seconds", "best reward"), times.map((t, i) => svg("path", { class: `line s${i + 1}`, d: path(t) }))),
    el("div", { class: "legend" }, names.map((name, i) => el("span", {}, el("span", { class: `dash s${i + 1}` }), name))));
}
