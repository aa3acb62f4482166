// Building the page. Text only ever enters as text nodes, so nothing that a run contains can become markup.
const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

// what scrolls can be reached by the keyboard
const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes && /\bscroll\b/.test(attributes.class) ? { tabindex: 0, ...attributes } : attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

// Inline styles are set through the object model: the page's content policy forbids style attributes.
function styled(node, rules) {
  for (const [name, value] of Object.entries(rules)) node.style.setProperty(name, value);
  return node;
}

function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const known = (value) => value !== null && value !== undefined;

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
function compact(value) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1).replace("e+", "e");
  for (const [unit, name] of PREFIXES) if (size >= unit) return trim((value / unit).toPrecision(3)) + name;
  return Number.isInteger(value) ? String(value) : trim(value.toPrecision(3));
}
const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
const count = (value) => (known(value) ? Math.round(value).toLocaleString("en-US") : "–");
const fixed = (value, digits = 4) => (known(value) ? value.toFixed(digits) : "–");
const percent = (value, digits = 2) => (known(value) ? (100 * value).toFixed(digits) + " %" : "–");

function duration(seconds) {
  if (!known(seconds)) return "–";
  const years = seconds / 31557600;
  if (years >= 1e4) return compact(years) + " years";
  if (years >= 1) return trim(years.toPrecision(3)) + " years";
  if (seconds >= 172800) return trim((seconds / 86400).toPrecision(3)) + " days";
  if (seconds >= 3600) return Math.floor(seconds / 3600) + " h " + Math.round((seconds % 3600) / 60) + " min";
  if (seconds >= 60) return Math.floor(seconds / 60) + " min " + Math.round(seconds % 60) + " s";
  return trim(seconds.toPrecision(seconds >= 10 ? 2 : 3)) + " s";
}

const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");

function announce(text) {
  document.getElementById("announce").textContent = text;
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "offscreen", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  announce("copied");
  setTimeout(() => (button.textContent = before), 1200);
}
