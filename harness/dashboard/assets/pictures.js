// Small pictures that need no plotly: how a budget is spent, and where a figure comes from.

const LITTLE = 0.4;

// Parts of the limit, or of the p99 where that is more. What is below 0 takes no room. Where little
// of the budget is spent a second bar shows what that little is of.
function budgetBar(budget) {
  const spent = budget.parts.filter((part) => part.kind !== "headroom");
  const used = spent.reduce((sum, part) => sum + Math.max(0, part.time_s), 0);
  const whole = Math.max(budget.limit_s, used);
  const isLittle = used > 0 && used < LITTLE * budget.limit_s;
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  if (isLittle) bar.append(el("div", { class: "part spent", style: { width: `${(100 * used) / whole}%` } }));
  const items = [];
  budget.parts.forEach((part) => {
    const width = `${(100 * Math.max(0, part.time_s)) / whole}%`;
    const mark = partClass(part, spent);
    if (!isLittle || part.kind === "headroom") bar.append(el("div", { class: mark, style: { width } }));
    items.push({ part, item: partItem(part, mark, budget.limit_s) });
  });
  const list = partList(items);
  const limit = el("div", { class: "limit", style: { left: `${(100 * budget.limit_s) / whole}%` } });
  bar.append(limit);
  if (!isLittle) return [bar, list];
  const close = el("div", { class: "bar", "aria-hidden": "true" }, spent.map((part) => el("div", {
    class: partClass(part, spent), style: { width: `${(100 * Math.max(0, part.time_s)) / used}%` },
  })));
  return [bar, close, el("p", { class: "quiet" }, "below: what is spent, by its parts"), list];
}

const MOST_PARTS = 10;

// The largest components, and all that is none; the others on demand.
function partList(items) {
  const components = items.filter(({ part }) => part.kind === "component");
  const largest = new Set([...components].sort((one, other) => other.part.time_s - one.part.time_s).slice(0, MOST_PARTS - 2));
  const isSmall = (one) => components.length > MOST_PARTS && one.part.kind === "component" && !largest.has(one);
  const listOf = (some) => el("ul", { class: "parts" }, some.map(({ item }) => item));
  const small = items.filter(isSmall);
  return [listOf(items.filter((one) => !isSmall(one))),
    small.length ? el("details", {}, el("summary", {}, `${small.length} smaller components`), listOf(small)) : null];
}

function partClass(part, spent) {
  if (part.kind !== "component") return `part ${part.kind}`;
  return `part fill${spent.indexOf(part) % SERIES_COLOURS}`;
}

function partItem(part, mark, limit) {
  const over = part.kind === "headroom" && part.time_s < 0;
  return el("li", { class: over ? "over" : null },
    el("span", { class: `key ${mark}`, "aria-hidden": "true" }),
    said(over ? "over the budget" : part.name), " ",
    el("span", { class: "value" }, `${atLeast(Math.abs(part.time_s) * 1e3, 0.001, 3)} ms, ${atLeast((100 * Math.abs(part.time_s)) / limit, 0.01, 2)} %`));
}

// What is less than anybody looks at is said to be less.
function atLeast(value, least, count) {
  return value > 0 && value < least ? `<${least}` : digits(value, count);
}

const SPARKS = 60;

// The newest figures of a series as a line, with the level that changes leave.
function sparkline(series, words) {
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
  const picture = svg("svg", { viewBox: "0 0 240 48", preserveAspectRatio: "none", role: "img", "aria-label": visible(words) },
    svg("path", { d: pathOf(levels, x, y), class: "level" }),
    svg("path", { d: pathOf(values, x, y), class: "median" }));
  return el("div", { class: "spark" }, picture, badge(series.simulated));
}

function sparkWords(series) {
  const values = array(series.median_s).slice(-SPARKS).filter(isNumber);
  const [low, high] = ends(values);
  const { factor, unit } = scaleOf(series);
  return `medians of the newest ${plural(values.length, "commit")}: ${digits(low * factor)} to ${digits(high * factor)} ${unit}`;
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
