// Pictures of cells. The positions come from Python (one picture for all cells of the same wiring); here they get names.
function family(name) {
  const lowered = name.toLowerCase();
  if (lowered.includes("pool")) return "pool";
  return ["identity", "linear", "skip", "none"].includes(lowered) ? "identity" : "conv";
}

const shorten = (text, length = 16) => (text.length <= length ? text : text.slice(0, length - 1) + "…");

function box(kind, x, y, width, height, label, hint) {
  const io = kind.startsWith("io");
  return svg("g", {}, hint && svg("title", {}, hint),
    svg("rect", { class: kind, x: x - width / 2, y: y - height / 2, width, height, rx: io ? 12 : 5 }),
    svg("text", { x, y }, label));
}

function wiring(child) {
  return (isFlat(child) ? "flat " : "") + halves(child).map(([input]) => input).join(",");
}

function cellPicture(child) {
  const picture = run.pictures[wiring(child)];
  if (!picture) return null;
  const s = run.sizes, pairs = halves(child), flat = isFlat(child);
  const read = new Set(pairs.map(([input]) => input));
  const parts = [svg("path", { class: "e", d: picture.edges })];
  for (const [value, x, y] of picture.inputs)
    parts.push(box(read.has(value) ? "io" : "io unused", x, y, s.input, s.node, flat ? "input" : "cell " + value,
      read.has(value) ? null : "no block reads this"));
  picture.blocks.forEach(([x, top, swapped], index) => {
    const node = top + s.block - s.radius, value = index + (flat ? 1 : 0);
    for (const slot of [0, 1]) {
      const ox = x + ((slot === 0) !== Boolean(swapped) ? -1 : 1) * (s.operator + s.gap) / 2;
      const name = pairs[2 * index + slot][1], under = top + s.height;
      parts.push(svg("path", { class: "e", d: `M${ox} ${under}C${ox} ${node} ${ox} ${node} ${x} ${node}` }));
      parts.push(box(family(name), ox, top + s.height / 2, s.operator, s.height, shorten(name), name));
    }
    parts.push(svg("g", {}, svg("title", {}, `block ${index + 1}, read as ${value}`),
      svg("circle", { class: "n", cx: x, cy: node, r: s.radius }), svg("text", { x, y: node }, value)));
  });
  parts.push(box("io", ...picture.output, s.output, s.node, "output"));
  const [width, height] = picture.box;
  return svg("svg", { class: "pc", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": child.cell }, parts);
}
