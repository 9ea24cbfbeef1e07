// Figures in words: milliseconds, shares, amounts of any unit; "-" is what is not known.

const NONE = "-";

// So many significant digits, without an exponent where one can do without it.
function digits(value, count = 4) {
  if (!isNumber(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -5 || size > 8) return value.toExponential(count - 1);
  return value.toFixed(Math.min(12, Math.max(0, count - 1 - size)));
}

const ms = (seconds, count = 4) => (isNumber(seconds) ? digits(seconds * 1e3, count) : NONE);

// What somebody wrote: no more digits than it has.
const bare = (value) => (isNumber(value) ? String(Number(value.toPrecision(6))) : NONE);
const bareMs = (seconds) => (isNumber(seconds) ? bare(seconds * 1e3) : NONE);

// By how much a ratio is off 1: "+0.52 %".
function offOne(ratio) {
  if (!isNumber(ratio)) return NONE;
  return signed(100 * (ratio - 1)) + " %";
}

function signed(value) {
  const size = Math.abs(value);
  const text = value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
  if (Number(text) === 0) return "0.00";
  return value > 0 ? "+" + text : text.replace("-", "\u2212");
}

function share(value, count = 2) {
  if (!isNumber(value)) return NONE;
  return digits(100 * value, count) + " %";
}

// Amounts of a large range: "1.23 G".
function amount(value, count = 3) {
  if (!isNumber(value)) return NONE;
  const steps = [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]];
  const found = steps.find(([size]) => Math.abs(value) >= size);
  return found ? digits(value / found[0], count) + found[1] : digits(value, count) + " ";
}

// How a series is told: the factor from what is stored, and the unit.
function scaleOf(series) {
  if (series.unit === "seconds") return { factor: 1e3, unit: "ms" };
  return { factor: 1, unit: visible(series.unit) || "(no unit)" };
}

const day = (time) => visible(String(time ?? "").slice(0, 10));
const minute = (time) => visible(String(time ?? "").slice(0, 16).replace("T", " "));

function plural(count, one, many = one + "s") {
  return count === 1 ? `1 ${one}` : `${count} ${many}`;
}

function environmentLabel(id) {
  return ENVIRONMENTS.get(id)?.label ?? "unknown environment";
}

// What tells one series from others, and where it was measured if that is not all one.
function seriesName(series, withEnvironment = DATA.environments.length > 1) {
  const parts = [series.component, series.variant, series.size];
  if (series.mode && series.mode !== "hot") parts.push(series.mode);
  if (series.streams > 1) parts.push(`${series.streams} streams`);
  if (series.options) parts.push(series.options);
  if (distinctPipelines > 1) parts.unshift(series.pipeline);
  const name = parts.filter(Boolean).join(", ");
  return withEnvironment ? `${name} on ${environmentLabel(series.environment)}` : name;
}

const distinctPipelines = new Set(DATA.series.map((one) => one.pipeline)).size;

function commitName(place) {
  return place >= 0 && DATA.commits[place] ? shortHash(DATA.commits[place].hash) : NONE;
}

// A link to the commit's section, which says what it is.
function commitLink(place) {
  if (!(place >= 0) || !DATA.commits[place]) return document.createTextNode(NONE);
  const commit = DATA.commits[place];
  return el("a", { href: address("commit", commit.hash), class: "hash", title: visible(commit.subject) },
    shortHash(commit.hash));
}

const changePlace = (series, at) => array(series.commits)[at];

function changeWords(change) {
  const direction = change.direction ? `, ${change.direction}` : "";
  return `${change.kind}${direction}`;
}

function interval(lower, upper) {
  return isNumber(lower) && isNumber(upper) ? `${offOne(lower)} to ${offOne(upper)}` : NONE;
}

function intervalOf(lower, upper, told = ms) {
  if (!isNumber(lower) && !isNumber(upper)) return NONE;
  return `${told(lower)} to ${told(upper)}`;
}

const SIMULATED = "SIMULATED";

function badge(simulated) {
  return simulated ? el("strong", { class: "simulated" }, SIMULATED) : null;
}
