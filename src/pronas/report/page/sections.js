// The page's parts. Each returns {node, update()}; update() is called whenever something changed.
function section(id, title, lead, ...body) {
  return el("section", { id, "aria-labelledby": id + "-title" }, el("h2", { id: id + "-title" }, title), lead && el("p", { class: "lead" }, lead), ...body);
}

function header() {
  const title = el("h1", {}), state = el("span", { class: "state", role: "status" }), lead = el("p", { class: "lead" }), tiles = el("dl", { class: "tiles" });
  const node = el("header", {}, el("div", { class: "title" }, title, state, themeButton()), lead, tiles);
  const update = () => {
    replace(title, run.name);
    replace(state, run.meta.state || "not started");
    state.dataset.state = run.meta.state || "";
    replace(lead, description());
    replace(tiles, figures().map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value), note && el("dd", { class: "muted" }, note))));
  };
  return { node, update };
}

function description() {
  const { space } = run, data = run.meta.dataset || {}, parts = [];
  if (space.operators) parts.push(`Cells of up to ${plural(space.blocks, "block")} with ${plural(space.operators.length, "operator")}`);
  if (known(space.unique)) parts.push(`${compact(space.unique)} distinct cells in all`);
  const name = data.name || (run.meta.config && run.meta.config.data && run.meta.config.data.name);
  if (name) parts.push("searched on " + name);
  return parts.join(" · ");
}

function figures() {
  const list = done(), best = byReward(list)[0], failed = all().filter((c) => c.status === "failed").length, time = timing(), final = run.meta.final;
  const rho = run.fits.map((f) => f.report.extrapolation && f.report.extrapolation.spearman).filter(known);
  const result = [["best reward", best ? percent(best.reward) : "–", best ? `child ${best.id}, level ${best.level}` : "nothing finished yet"]];
  if (final && known(final.test_accuracy)) result.push(["winner on test data", percent(final.test_accuracy), known(final.parameters) ? compact(final.parameters) + " parameters" : null]);
  result.push(["children", count(list.length), failed ? `${count(failed)} failed` : "none failed"], ["time in children", duration(time.spent), `${duration(time.wall)} on the clock`]);
  if (rho.length) result.push(["predictor, next level", "ρ " + rho[rho.length - 1].toFixed(2), "Spearman, latest fit"]);
  return result;
}

function themeButton() {
  const names = ["auto", "light", "dark"], root = document.documentElement;
  let at = 0;
  const button = el("button", { type: "button", class: "small theme", onclick: () => {
    at = (at + 1) % 3;
    root.dataset.theme = names[at];
    button.textContent = "theme: " + names[at];
  } }, "theme: auto");
  return button;
}

function filterBar(changed) {
  const chips = el("div", { class: "chips" }), node = el("nav", { class: "filter", "aria-label": "filter by level" }, el("span", {}, "levels"), chips);
  let key = "";
  const update = () => {
    const now = levels().map((level) => [level, all().filter((c) => c.level === level && c.status !== "proposed" && c.status !== "running").length, run.hidden.has(level)]);
    node.hidden = !now.length;
    if (JSON.stringify(now) === key) return;
    key = JSON.stringify(now);
    const focused = document.activeElement && document.activeElement.dataset && document.activeElement.dataset.level;
    replace(chips, now.map(([level, n, hidden]) => el("button", { type: "button", class: "chip", "data-level": level, "aria-pressed": String(!hidden), onclick: () => {
      hidden ? run.hidden.delete(level) : run.hidden.add(level);
      changed();
    } }, el("span", { class: "swatch b" + colourOf(level) }), level, el("span", { class: "muted" }, " " + count(n)))));
    if (focused) chips.querySelector(`[data-level="${focused}"]`)?.focus();
  };
  return { node, update };
}

function rewards() {
  const [time, level] = [overTime(), byLevel()];
  const node = section("rewards", "Rewards", "Every child as it finished; the line is the best so far, crosses failed.", el("div", { class: "pair wide" }, time.node, level.node));
  const update = () => {
    node.hidden = !all().some((c) => c.status === "done" || c.status === "failed");
    if (!node.hidden) [time, level].forEach((chart) => chart.draw());
  };
  return { node, update };
}

function predictor() {
  const chart = predictedPlot(), table = el("div", { class: "scroll" });
  const node = section("predictor", "Predictor", "What the predictor expected before a child was trained, and what came of it.", el("div", { class: "pair" }, chart.node, table));
  const update = () => {
    node.hidden = !run.fits.length && !done().some((c) => known(c.predicted));
    if (node.hidden) return;
    chart.draw();
    replace(table, rhoTable());
  };
  return { node, update };
}

function rhoTable() {
  const text = (part) => (part && known(part.spearman) ? part.spearman.toFixed(3) : "–"), rows = [];
  for (const fit of run.fits) {
    const { report } = fit, next = done().filter((c) => c.level === fit.level + 1 && known(c.predicted));
    const measured = spearman(next.map((c) => c.predicted), next.map((c) => c.reward));
    const last = fit === run.fits.filter((f) => f.level === fit.level).pop();
    rows.push(el("tr", {}, [fit.level + (fit.round > 1 ? "." + fit.round : ""), report.in_sample && known(report.in_sample.n) ? count(report.in_sample.n) : "–", text(report.in_sample),
      text(report.cross_validated), text(report.extrapolation), last && known(measured) ? `${measured.toFixed(3)} (${next.length})` : "–"].map((v) => el("td", {}, v))));
  }
  const heads = ["fit after level", "children", "in sample", "cross-validated", "next level, held out", "next level, as trained"];
  return el("table", { class: "data" }, el("caption", {}, "Spearman's ρ between predicted and measured reward"), el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, rows));
}

function usageSection() {
  const [operators, inputs] = [el("div", { class: "scroll" }), el("div", { class: "scroll" })];
  const node = section("usage", "What the best are made of", "Share of operators and inputs in the best quarter of each level; in small print the change against all its children, in points.", el("div", { class: "pair" }, operators, inputs));
  const update = () => {
    node.hidden = !done().length;
    replace(operators, usageTable("operator"));
    replace(inputs, usageTable("input"));
  };
  return { node, update };
}

function usageTable(kind) {
  const table = usage(kind), columns = shownLevels().filter((level) => done().some((c) => c.level === level)), totals = new Map();
  for (const row of table.values()) for (const [level, [best, every]] of row) {
    const t = totals.get(level) || [0, 0];
    totals.set(level, [t[0] + best, t[1] + every]);
  }
  const weight = (row) => [...row.values()].reduce((sum, [best]) => sum + best, 0);
  const rows = [...table].sort((a, b) => weight(b[1]) - weight(a[1])).map(([name, row]) => el("tr", {}, el("th", { scope: "row" }, name), columns.map((level) => {
    const [best, every] = row.get(level) || [0, 0], [allBest, allEvery] = totals.get(level) || [1, 1];
    const share = best / (allBest || 1), change = Math.round(100 * (share - every / (allEvery || 1)));
    if (!every) return el("td", { class: "heat muted" }, "·");
    return styled(el("td", { class: "heat", title: `${best} of ${allBest} among the best, ${every} of ${allEvery} among all` },
      Math.round(100 * share) + " %", el("small", {}, change > 0 ? "+" + change : change < 0 ? "−" + -change : "±0")), { "--heat": Math.min(1, share * 1.6).toFixed(3) });
  })));
  return el("table", { class: "data usage" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, kind), columns.map((level) => el("th", { scope: "col" }, "level " + level)))), el("tbody", {}, rows));
}

function pareto() {
  const state = { cost: null }, chart = paretoPlot(state), list = el("div", { class: "scroll" });
  const choice = el("select", { id: "cost", onchange: () => { state.cost = choice.value; chart.zoom = null; refresh(); } });
  const node = section("front", "Accuracy against cost", null, el("p", { class: "lead" }, el("label", { for: "cost" }, "Children that no other beats in both reward and "), choice), el("div", { class: "pair" }, chart.node, list));
  let options = "";
  const refresh = () => {
    chart.spec.xLabel = (COSTS.find(([key]) => key === state.cost) || [, ""])[1];
    chart.draw();
    const front = paretoFront(shown(done()).filter((c) => c[state.cost] > 0), state.cost).reverse().slice(0, 8);
    replace(list, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["reward", chart.spec.xLabel, "cell"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, front.map((c) => el("tr", {}, el("td", {}, fixed(c.reward)), el("td", {}, compact(c[state.cost])), el("td", { class: "cell" }, cellButton(c)))))));
  };
  const update = () => {
    const known_ = costs();
    node.hidden = !known_.length;
    if (!known_.length) return;
    if (known_.map(([key]) => key).join() !== options) {
      options = known_.map(([key]) => key).join();
      replace(choice, known_.map(([key, name]) => el("option", { value: key, selected: key === state.cost }, name)));
      state.cost = choice.value;
    }
    refresh();
  };
  return { node, update };
}

const cellButton = (child) => el("button", { type: "button", class: "link", onclick: () => openChild(child) }, child.cell);

function bestCells() {
  const grid = el("div", { class: "cards" }), more = el("button", { type: "button", onclick: () => { wanted += 6; update(); } }, "show more");
  const node = section("best", "Best cells", null, grid, more);
  let wanted = 6, key = "";
  const update = () => {
    const list = byReward(shown(done())), now = list.slice(0, wanted).map((c) => c.id + ":" + c.reward).join();
    node.hidden = !list.length;
    more.hidden = list.length <= wanted;
    if (now === key) return;
    key = now;
    replace(grid, list.slice(0, wanted).map((c, i) => el("article", { class: "card" }, el("h3", {}, el("span", { class: "rank" }, i + 1), fixed(c.reward), el("span", { class: "muted" }, ` child ${c.id} · level ${c.level}`)),
      el("button", { type: "button", class: "picture", "aria-label": "enlarge", onclick: () => openChild(c) }, cellPicture(c)), cellCode(c), el("p", { class: "muted small-text" }, summary(c)))));
  };
  return { node, update };
}
