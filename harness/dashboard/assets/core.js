// The data, what makes elements of it, and its arrays. Every text of the data is hostile: it gets
// into the page as textContent alone, and into plotly through plain().

const DATA = JSON.parse(document.getElementById("data").textContent);
const FACTS = JSON.parse(document.getElementById("facts").textContent);
const Q = Object.fromEntries(FACTS.quantiles.map((share, place) => [share, place]));
const QS = FACTS.quantiles.length;
const SERIES = new Map(DATA.series.map((one) => [one.id, one]));
const ENVIRONMENTS = new Map(DATA.environments.map((one) => [one.id, one]));

// What does not show, turns the direction of text or is a control: as \u202e.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

function visible(text) {
  return String(text ?? "").replace(
    HIDDEN, (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"));
}

// For plotly, which takes <b>, <a href> and entities for what they say.
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function plain(text) {
  return visible(text).replace(/[&<>]/g, (one) => ENTITIES[one]);
}

// An element; of the properties, "class" and those with a dash or "role" are attributes.
function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key in node && key !== "list" && key !== "role") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  put(node, ...children);
  return node;
}

function put(node, ...children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return put(node, ...children);
}

// What somebody wrote: its direction is its own.
const said = (text) => el("bdi", {}, text);

function announce(text) {
  document.getElementById("announce").textContent = text;
}

// Arrays come packed, in base64 (harness/dashboard/encode.py says how), and are decoded once, when
// they are wanted.
const decoded = new WeakMap();

function array(packed) {
  if (!packed) return new Float32Array(0);
  if (!decoded.has(packed)) decoded.set(packed, unpacked(packed));
  return decoded.get(packed);
}

function unpacked(packed) {
  if (packed.b !== undefined) return columns(packed);
  let values = packed.i === undefined
    ? new Float32Array(bytesOf(packed.f).buffer) : new Int32Array(bytesOf(packed.i).buffer);
  if (packed.n) values = repeated(values, new Int32Array(bytesOf(packed.n).buffer));
  if (packed.s) for (let i = 1; i < values.length; i += 1) values[i] += values[i - 1];
  return values;
}

function bytesOf(text) {
  const bytes = atob(text);
  const buffer = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i += 1) buffer[i] = bytes.charCodeAt(i);
  return buffer;
}

// Columns of float32, of which the bits are kept that differ.
function columns({ b, w, o, c }) {
  const values = new Float32Array(b.length * c);
  const bits = new Int32Array(values.buffer);
  const before = new Float64Array(c);
  b.forEach((text, column) => {
    const codes = codesOf(bytesOf(text), w[column], c);
    for (let row = 0; row < c; row += 1) {
      const at = row * b.length + column;
      if (codes[row] === 0) values[at] = NaN;
      else bits[at] = before[row] += codes[row] - 1 + o[column];
    }
  });
  return values;
}

// Whole numbers of so many bits (32 at most), the lowest first; behind the last byte are zeros.
function codesOf(bytes, width, count) {
  const codes = new Uint32Array(count);
  const mask = 2 ** width - 1;
  for (let i = 0, bit = 0; i < count; i += 1, bit += width) {
    const at = bit >>> 3;
    const low = bit & 7;
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    codes[i] = ((word >>> low) | (low ? bytes[at + 4] << (32 - low) : 0)) & mask;
  }
  return codes;
}

function repeated(values, lengths) {
  const whole = new values.constructor(lengths.reduce((sum, one) => sum + one, 0));
  let at = 0;
  lengths.forEach((length, place) => {
    whole.fill(values[place], at, at + length);
    at += length;
  });
  return whole;
}

// A figure of an array with the fewest digits that tell it from all others of 32 bits; what is no
// such figure (a ratio, a figure in another unit) as it is.
function shortest(value) {
  if (!Number.isFinite(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// A quantile of a series at one of its commits.
const quantile = (series, place, share) => array(series.quantiles)[place * QS + Q[share]];

// Commits at which a series was not measured are among its own: holes, which have no median.
const hasFigure = (series, place) => isNumber(array(series.median_s)[place]);

// The places of a series that have a figure.
const figuredPlaces = (series) =>
  [...array(series.commits).keys()].filter((place) => hasFigure(series, place));

// The last place before this one that has a figure; -1 where there is none.
function placeBefore(series, place) {
  let before = place - 1;
  while (before >= 0 && !hasFigure(series, before)) before -= 1;
  return before;
}

// The place of one of the page's commits among those of a series; -1 where it has no figure.
function placeOf(series, commit) {
  const commits = array(series.commits);
  let low = 0;
  let high = commits.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (commits[middle] === commit) return hasFigure(series, middle) ? middle : -1;
    if (commits[middle] < commit) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

const BY_HASH = new Map(DATA.commits.map((one, place) => [one.hash, place]));

// The place of the commit whose hash begins so; -1 where there is none.
function commitOf(hash) {
  if (!hash) return -1;
  if (BY_HASH.has(hash)) return BY_HASH.get(hash);
  return DATA.commits.findIndex((one) => one.hash.startsWith(hash));
}

// What is of no commit, or of a changed tree, is named by its time and its record.
const TIMED = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z /;

function shortHash(hash) {
  const timed = TIMED.exec(hash);
  if (timed) return `no commit, ${timed.slice(1, 4).join("-")} ${timed.slice(4).join(":")}`;
  return /^[0-9a-f]{12,}$/i.test(hash) ? hash.slice(0, 10) : hash;
}

const tickHash = (hash) => (TIMED.test(hash) ? "no commit" : hash.slice(0, 8));

const isWeb = (url) => /^https?:\/\//i.test(url ?? "");

function distinct(values) {
  return [...new Set(values)];
}

function groupedBy(values, keyOf) {
  const groups = new Map();
  for (const value of values) {
    const key = keyOf(value);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(value);
  }
  return [...groups.values()];
}

// The least and the largest.
function ends(values) {
  if (!values.length) return [0];
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

// What is made anew leaves the focus where it was.
function keepingFocus(work) {
  const focused = document.activeElement?.id;
  work();
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
