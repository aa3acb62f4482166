// Every child in a table: sort by a column, search in the cells, some at a time.
const COLUMNS = [
  ["id", "#", count], ["level", "level", count], ["status", "status", (v) => v], ["reward", "reward", fixed], ["predicted", "predicted", fixed], ["parameters", "parameters", compact], ["macs", "MACs", compact],
  ["binary_macs", "binary MACs", compact], ["weight_bits", "weight bits", compact], ["latency_us", "latency, µs", compact], ["seconds", "time", duration], ["cell", "cell", null],
];

function childTable() {
  const state = { key: "reward", down: true, text: "", wanted: 20 };
  const [head, body, note] = [el("tr", {}), el("tbody", {}), el("span", { class: "muted", "aria-live": "polite" })];
  const search = el("input", { type: "search", placeholder: "part of a cell", "aria-label": "search in the cells", oninput: () => { state.text = search.value.toLowerCase(); state.wanted = 20; update(); } });
  const more = el("button", { type: "button", onclick: () => { state.wanted += 100; update(); } }, "show 100 more");
  const node = section("children", "All children", null, el("div", { class: "tools" }, search, note), el("div", { class: "scroll" }, el("table", { class: "data children" }, el("thead", {}, head), body)), more);

  const compare = (a, b) => {
    const [x, y] = [a[state.key], b[state.key]];
    if (!known(x) || !known(y)) return known(y) - known(x);
    return (typeof x === "string" ? x.localeCompare(y) : x - y) * (state.down ? -1 : 1) || a.id - b.id;
  };

  const heading = ([key, name]) => {
    const sort = state.key === key ? (state.down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", class: "k-" + key, "aria-sort": sort }, el("button", { type: "button", class: "link", "data-key": key, onclick: () => {
      [state.down, state.key] = [state.key === key ? !state.down : !["id", "level", "status", "cell"].includes(key), key];
      update();
      head.querySelector(`[data-key="${key}"]`).focus();
    } }, name, el("span", { class: "arrow", "aria-hidden": "true" }, sort === "none" ? "" : state.down ? " ▼" : " ▲")));
  };

  function update() {
    const some = shown(all()).filter((c) => c.status !== "proposed"), list = some.filter((c) => !state.text || c.cell.toLowerCase().includes(state.text)).sort(compare);
    const columns = COLUMNS.filter(([key]) => ["id", "level", "reward", "cell"].includes(key) || (key === "status" ? some.some((c) => c.status !== "done") : some.some((c) => known(c[key]) && c[key] !== 0)));
    node.hidden = !some.length;
    replace(note, list.length === some.length ? plural(list.length, "child", "children") : `${count(list.length)} of ${count(some.length)} children`);
    replace(head, columns.map(heading));
    replace(body, list.slice(0, state.wanted).map((c) => el("tr", { "data-id": c.id, class: c.status === "failed" ? "bad" : null }, columns.map(([key, , format]) =>
      key === "cell" ? el("td", { class: "cell" }, cellButton(c)) : el("td", { class: "k-" + key }, key === "level" ? [el("span", { class: "swatch b" + colourOf(c.level) }), c.level] : format(c[key]))))));
    more.hidden = list.length <= state.wanted;
  }
  return { node, update };
}
