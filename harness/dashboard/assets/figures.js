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

function commitName(place) {
  return place >= 0 && DATA.commits[place] ? shortHash(DATA.commits[place].hash) : NONE;
}

// A link to the commit's section, which says what it is.
function commitLink(place) {
  if (!(place >= 0) || !DATA.commits[place]) return document.createTextNode(NONE);
  const commit = DATA.commits[place];
  const link = { href: address("commit", commit.hash), class: "hash", title: visible(commit.subject) };
  return el("a", link, shortHash(commit.hash));
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
  if (!isNumber(upper)) return `at least ${told(lower)}`;
  if (!isNumber(lower)) return `at most ${told(upper)}`;
  return `${told(lower)} to ${told(upper)}`;
}

// A text that may be long: three lines of it, and all when it is pointed at.
const long = (text, name = "div") => el(name, { class: "long", title: visible(text) }, said(text || NONE));

const SIMULATED = "SIMULATED";

const anySimulated = (rows) => rows.some((one) => one.simulated);

// Of what only a text is told: who hears it must know as well.
const marked = (simulated, text) => (simulated ? `${SIMULATED}: ${text}` : text);

function badge(simulated) {
  return simulated ? el("strong", { class: "simulated" }, SIMULATED) : null;
}
