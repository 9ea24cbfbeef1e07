// Controls: each shows what the address says, and changes it.

function selectOf({ label, name, options, value, onchange, all }) {
  const id = `choice-${shown.section}-${name}`;
  const select = el("select", { id, onchange: (event) => onchange(event.target.value) });
  const given = all === undefined ? options : [["", all], ...options];
  for (const [key, text] of given) {
    select.append(el("option", { value: String(key) }, text));
  }
  select.value = String(value ?? "");
  return el("div", { class: "choice" }, el("label", { htmlFor: id }, label), select);
}

function checkOf({ label, checked, onchange, mark }) {
  return el("label", { class: "check" },
    el("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked) }),
    mark ?? null, el("span", {}, said(label)));
}

function buttonOf(label, onclick, properties = {}) {
  return el("button", { type: "button", onclick, ...properties }, label);
}

// What series are chosen by: the property, and what it is called.
const FACETS = [
  ["pipeline", "Pipeline"], ["component", "Component"], ["precision", "Precision"],
  ["backend", "Backend"], ["size", "Size"], ["mode", "Mode"], ["streams", "Streams"],
  ["launch", "Launch"], ["threads", "Threads"], ["clock", "Clock"],
  ["environment", "Environment"], ["unit", "Unit"],
];

function facetValues(series, name) {
  const values = distinct(series.map((one) => one[name]));
  if (name === "environment") return values.map((id) => [id, environmentLabel(id)]);
  return values.sort(bySize).map((one) => [one, one === "" ? "(none)" : one]);
}

const bySize = (one, other) => String(one).localeCompare(String(other), "en", { numeric: true });

// Selects for those facets in which series differ.
function facetSelects(series, choices, onchange) {
  return FACETS.map(([name, label]) => {
    const options = facetValues(series, name);
    if (options.length < 2 && choices[name] === undefined) return null;
    return selectOf({
      label, name, options, value: choices[name], all: "all",
      onchange: (value) => onchange(name, value),
    });
  });
}

function matching(series, choices) {
  const words = (choices.find ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return series.filter((one) =>
    FACETS.every(([name]) => choices[name] === undefined || String(one[name]) === choices[name])
    && (!words.length || words.every((word) => findable(one).includes(word))));
}

const findableTexts = new WeakMap();

function findable(series) {
  if (!findableTexts.has(series)) {
    const parts = [series.pipeline, seriesName(series, WHOLE), series.clock, series.source];
    findableTexts.set(series, parts.join(" ").toLowerCase());
  }
  return findableTexts.get(series);
}

const idsOf = (text) => (text ?? "").split(",").filter(Boolean).map(Number);

// The first that anybody wants to see: what a budget is held for, or a whole pipeline.
function firstSeries(series) {
  const budgeted = new Set(DATA.budgets.map((one) => one.series));
  const histories = series.filter(isHistory);
  const sets = [
    histories.filter((one) => budgeted.has(one.id)),
    histories.filter((one) => one.component === "pipeline"), histories, series,
  ];
  const longest = (one, other) => array(other.commits).length - array(one.commits).length;
  // Of equal length the first stays the first.
  return [...sets.find((one) => one.length) ?? []].sort(longest)[0];
}

// A select of commits, the newest first, with the ones beside it.
function commitChoice({ label, name, value, onchange, places }) {
  const ordered = [...places].reverse();
  const options = ordered.map((place) => {
    const { hash, date_utc: date, subject } = DATA.commits[place];
    return [place, `${shortHash(hash)}  ${day(date)}  ${subject.slice(0, 70)}`];
  });
  const at = ordered.indexOf(value);
  const step = (by, text) => buttonOf(text, () => onchange(ordered[at + by]), {
    disabled: !(at + by in ordered), class: "quiet",
  });
  return el("div", { class: "choices" },
    selectOf({ label, name, options, value, onchange: (text) => onchange(Number(text)) }),
    step(1, "Older"), step(-1, "Newer"));
}

// The commits that were measured: any of these series has a figure at each of them, ascending.
function commitsOf(series) {
  const all = new Set();
  for (const one of series) {
    const commits = array(one.commits);
    for (const place of figuredPlaces(one)) all.add(commits[place]);
  }
  return [...all].sort((one, other) => one - other);
}

// The head of an A/B may be newer, and have no figures of its own.
function newestMeasured() {
  let newest = -1;
  for (const series of DATA.series) {
    const commits = array(series.commits);
    let place = commits.length - 1;
    while (place >= 0 && commits[place] > newest && !(hasFigure(series, place) && isCommit(commits[place]))) place -= 1;
    if (place >= 0 && commits[place] > newest) newest = commits[place];
  }
  return newest < 0 ? DATA.commits.length - 1 : newest;
}

// What was measured of a changed tree, or of none, is no commit.
const isCommit = (place) => !TIMED.test(DATA.commits[place].hash);
