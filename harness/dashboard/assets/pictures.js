// Small pictures that need no plotly: how a budget is spent, and where a figure comes from.

const LITTLE = 0.4;

// Parts of the limit, or of the p99 where that is more. Each is as wide as it takes; what is below 0
// (components that overlap) begins the next that much earlier, so that the end is where the p99 is.
// Where little of the budget is spent a second bar shows what that little is of.
function budgetBar(budget) {
  const spent = budget.parts.filter((part) => part.kind !== "headroom");
  const used = spent.reduce((sum, part) => sum + part.time_s, 0);
  const whole = Math.max(budget.limit_s, ...endsOf(spent));
  const isLittle = used > 0 && used < LITTLE * budget.limit_s;
  const markOf = marksOf(spent);
  const seen = isLittle ? budget.parts.filter((part) => part.kind === "headroom") : budget.parts;
  const bar = el("div", { class: "bar", "aria-hidden": "true" },
    isLittle ? piece({ look: "part spent" }, 0, used, whole) : null, pieces(seen, isLittle ? used : 0, whole, markOf),
    el("div", { class: "limit", style: { left: `${(100 * budget.limit_s) / whole}%` } }));
  const list = partList(budget.parts.map((part) => ({ part, item: partItem(part, markOf(part), budget.limit_s) })));
  if (!isLittle) return [bar, list];
  const close = el("div", { class: "bar", "aria-hidden": "true" },
    pieces(spent, 0, Math.max(...endsOf(spent)), markOf));
  return [bar, close, el("p", { class: "quiet" }, "below: what is spent, by its parts"), list];
}

// Where each part ends, one after the other.
function endsOf(parts, from = 0) {
  let at = from;
  return parts.map((part) => (at += part.time_s));
}

function pieces(parts, from, whole, markOf) {
  const all = endsOf(parts, from);
  return parts.map((part, place) => (part.time_s > 0
    ? piece(markOf(part), all[place] - part.time_s, part.time_s, whole) : null));
}

// Of what is narrower there is no room for its number.
const NUMBERED = 0.06;

function piece(mark, from, width, whole) {
  const percent = (value) => `${(100 * value) / whole}%`;
  const number = mark.number && width >= NUMBERED * whole ? el("span", { class: "which" }, mark.number) : null;
  return el("div", { class: mark.look, style: { left: percent(from), width: percent(width) } }, number);
}

const MOST_PARTS = 10;

// The largest components, and all that is none; the others on demand.
function partList(items) {
  const components = items.filter(({ part }) => part.kind === "component");
  const ordered = [...components].sort((one, other) => other.part.time_s - one.part.time_s);
  const largest = new Set(ordered.slice(0, MOST_PARTS - 2));
  const isSmall = (one) => components.length > MOST_PARTS && one.part.kind === "component" && !largest.has(one);
  const listOf = (some) => el("ul", { class: "parts" }, some.map(({ item }) => item));
  const small = items.filter(isSmall);
  return [listOf(items.filter((one) => !isSmall(one))),
    small.length ? el("details", {}, el("summary", {}, `${small.length} smaller components`), listOf(small)) : null];
}

const HATCHES = 6;

// How parts are told apart: components by their number, and by colours, which are hatched where they
// come again; the others by their kind.
function marksOf(spent) {
  const components = spent.filter((part) => part.kind === "component");
  return (part) => {
    if (part.kind !== "component") return { look: `part ${part.kind}`, number: "" };
    const place = components.indexOf(part);
    const hatch = Math.floor(place / SERIES_COLOURS) % HATCHES;
    return { look: `part fill${place % SERIES_COLOURS} hatch${hatch}`, number: String(place + 1) };
  };
}

function partItem(part, mark, limit) {
  const over = part.kind === "headroom" && part.time_s < 0;
  return el("li", { class: over ? "over" : null },
    el("span", { class: `key ${mark.look}`, "aria-hidden": "true" }),
    mark.number ? el("span", { class: "which", "aria-hidden": "true" }, mark.number) : null,
    said(over ? "over the budget" : part.name), " ",
    el("span", { class: "value" }, partWords(over ? -part.time_s : part.time_s, limit)));
}

// Less than 0 is what overlaps.
function partWords(time_s, limit) {
  const sign = time_s < 0 ? "\u2212" : "";
  const size = Math.abs(time_s);
  const percent = atLeast((100 * size) / limit, 0.01, 2);
  return `${sign}${atLeast(size * 1e3, 0.001, 3)} ms, ${percent.startsWith("<") ? "" : sign}${percent} %`;
}

// What is less than anybody looks at is said to be less.
function atLeast(value, least, count) {
  return value > 0 && value < least ? `<${least}` : digits(value, count);
}

const SPARKS = 60;

// The newest figures of a series as a line, with the level that changes leave.
function sparkline(series, words) {
  if (!isHistory(series)) return null;
  const from = Math.max(0, array(series.commits).length - SPARKS);
  const values = array(series.median_s).slice(from);
  const levels = array(series.levels_s).slice(from);
  const known = [...values, ...levels].filter(isNumber);
  if (known.length < 4) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  // What moves by less than 2 % is drawn as flat as it is.
  const span = Math.max(high - low, 0.02 * high) || 1;
  const middle = (low + high) / 2;
  const x = (place) => (4 + (place * 232) / Math.max(1, values.length - 1)).toFixed(1);
  const y = (value) => (24 - ((value - middle) * 40) / span).toFixed(1);
  const told = { role: "img", "aria-label": visible(words) };
  const picture = svg("svg", { viewBox: "0 0 240 48", preserveAspectRatio: "none", ...told },
    svg("path", { d: pathOf(levels, x, y), class: "level" }),
    svg("path", { d: pathOf(values, x, y), class: "median" }));
  return el("div", { class: "spark" }, picture, badge(series.simulated));
}

function sparkWords(series) {
  const values = array(series.median_s).slice(-SPARKS).filter(isNumber);
  const [low, high] = ends(values);
  const { factor, unit } = scaleOf(series);
  const range = `${digits(low * factor)} to ${digits(high * factor)} ${unit}`;
  return `medians of the newest ${plural(values.length, "commit")}: ${range}`;
}

function pathOf(values, x, y) {
  let path = "";
  let isDown = false;
  values.forEach((value, place) => {
    if (isNumber(value)) path += `${isDown ? "L" : "M"}${x(place)} ${y(value)}`;
    isDown = isNumber(value);
  });
  return path || "M0 0";
}
