// In ten seconds: within the budget or not, what changed, since when, and why.

sections.overview = {
  show(root) {
    if (root.firstChild) return;
    put(root, headline(), emptyNote(), budgetCards(), openTable(), problems(), allChanges(), runsTable());
  },
};

// What is below is there to be found, not to be read through.
const FEW = 12;
const ORDER = ["missed", "inconclusive", "not measured", "within"];
const MARKS = { within: "✓", missed: "✕", inconclusive: "?", "not measured": "–" };

const changesOf = (keep) => DATA.series.flatMap((series) =>
  series.changes.filter(keep).map((change) => ({ series, change, simulated: series.simulated })));

const OPEN = changesOf((change) => change.is_open).sort((one, other) => other.change.ratio - one.change.ratio);

function headline() {
  const missed = DATA.budgets.filter((one) => one.verdict === "missed").length;
  const open = DATA.budgets.filter((one) => one.verdict !== "missed" && one.verdict !== "within").length;
  const newest = DATA.commits.length - 1;
  const tell = (count, words, kind) => el("li", { class: kind }, el("strong", {}, String(count)), ` ${words}`);
  const total = DATA.budgets.length;
  const simulated = DATA.series.some((one) => one.simulated) || DATA.budgets.some((one) => one.simulated);
  return el("ul", { class: "headline" },
    total ? tell(missed, `of ${plural(total, "budget")} missed`, missed ? "bad" : "good") : null,
    open ? tell(open, "not known yet", "open") : null,
    tell(OPEN.length, OPEN.length === 1 ? "open regression" : "open regressions", OPEN.length ? "bad" : "good"),
    newest < 0 ? null : el("li", {}, "newest of ", plural(DATA.commits.length, "commit"), ": ", commitLink(newest),
      ` ${day(DATA.commits[newest].date_utc)} `, said(DATA.commits[newest].subject)),
    simulated ? el("li", {}, badge(true)) : null);
}

function emptyNote() {
  if (DATA.series.length || DATA.budgets.length || DATA.runs.length) return null;
  return el("div", { class: "note" },
    el("p", {}, "There are no figures yet. Measure something, and build this page again:"),
    el("pre", { tabIndex: 0 }, "harness run voice_conversion\nharness history run HEAD~10..HEAD\nharness dashboard"));
}

function budgetCards() {
  if (!DATA.budgets.length) {
    if (!DATA.series.length) return null;
    return el("p", { class: "note" }, "No budget is known: none of the records' pipelines states one.");
  }
  const budgets = [...DATA.budgets].sort(
    (one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict));
  const cards = el("div", { class: "cards" });
  budgets.slice(0, FEW).forEach((one) => cards.append(budgetCard(one)));
  const more = budgets.length > FEW
    ? buttonOf(`Show ${budgets.length - FEW} more`, (event) => {
      budgets.slice(FEW).forEach((one) => cards.append(budgetCard(one)));
      event.target.remove();
    }, { class: "more" })
    : null;
  return [el("h3", {}, "Budgets"), cards, more];
}

function budgetCard(budget) {
  const kind = budget.verdict.replace(" ", "-");
  const series = SERIES.get(budget.series);
  const words = budget.trend || "the newest medians, and their level";
  const recent = series && sparkline(series, words);
  return el("article", { class: `card ${kind}` },
    el("p", { class: "verdict" }, el("span", { "aria-hidden": "true" }, MARKS[budget.verdict] ?? "?"), " ",
      budget.verdict.toUpperCase(), " ", badge(budget.simulated)),
    el("h4", {}, said(budget.pipeline), ", ", said(budget.variant), ", ", said(budget.size)),
    el("p", { class: "where" }, said(environmentLabel(budget.environment)),
      budget.arrival ? [", ", said(budget.arrival)] : null),
    p99Words(budget),
    slowerSince(budget),
    budget.parts.length ? budgetBar(budget) : null,
    budget.beside.length
      ? el("p", { class: "quiet" }, "Beside it: ",
        budget.beside.map((part) => `${visible(part.name)} ${ms(part.time_s, 3)} ms`).join(", "))
      : null,
    recent ? [recent, el("p", { class: "quiet" }, sparkWords(series))] : null,
    budget.trend ? el("p", {}, said(budget.trend)) : null,
    validityWords(budget),
    cardLinks(budget, series));
}

// Which of its parts are slower, and since which commit.
function slowerSince(budget) {
  const own = OPEN.filter(({ series }) => ["environment", "pipeline", "variant", "size"].every(
    (name) => series[name] === budget[name]));
  const places = distinct(own.map(({ series, change }) => changePlace(series, change.at)));
  return places.map((place) => {
    const here = own.filter(({ series, change }) => changePlace(series, change.at) === place);
    return el("p", {}, el("strong", { class: "bad" }, "Slower"), " since ", commitLink(place), ` (${day(DATA.commits[place].date_utc)}): `,
      here.map(({ series, change }, order) => [
        order ? ", " : "", el("a", { href: changeAddress(series, change) }, said(series.component)), ` ${offOne(change.ratio)}`]));
  });
}

function p99Words(budget) {
  const limit = `${bareMs(budget.limit_s)} ms`;
  if (!isNumber(budget.p99_s)) return el("p", {}, "Limit ", limit, ": ", said(budget.reason || "not measured"));
  return [
    el("p", { class: "figure" }, el("strong", {}, `p99 ${ms(budget.p99_s)} ms`), ` of ${limit}`),
    el("p", { class: "quiet" },
      isNumber(budget.lower_s) || isNumber(budget.upper_s)
        ? `95 % interval ${intervalOf(budget.lower_s, budget.upper_s)} ms`
        : "without an interval",
      isNumber(budget.median_s) ? `; median ${ms(budget.median_s)} ms` : null),
    budget.reason ? el("p", { class: "quiet" }, said(budget.reason)) : null,
  ];
}

function validityWords({ validity, sentences }) {
  const told = el("span", { class: `validity ${validity}` }, `Machine: ${validity || "not told"}`);
  if (!sentences.length) return el("p", { class: "quiet" }, told);
  return el("details", {}, el("summary", {}, told, `, ${plural(sentences.length, "note")}`),
    el("ul", {}, sentences.map((one) => el("li", {}, said(one)))));
}

function cardLinks(budget, series) {
  return el("p", { class: "links" },
    series ? el("a", { href: address("history", "", { series: series.id }) }, "History") : null,
    budget.commit === null ? null : [el("span", {}, "at "), commitLink(budget.commit)],
    el("span", { class: "quiet" }, minute(budget.created_utc)));
}

function changeColumns() {
  return [
    {
      head: "series", wide: true, get: ({ series }) => seriesName(series),
      show: ({ series, change }, name) => el("a", { href: changeAddress(series, change) }, said(name)),
    },
    { head: "what", tight: true, get: ({ change }) => changeWords(change) },
    {
      head: "size", csv: "ratio", number: true, get: ({ change }) => change.ratio,
      show: (row, value) => el("strong", {}, offOne(value)),
    },
    {
      head: "interval", get: ({ change }) => interval(change.lower, change.upper), tight: true,
      title: "of the new level over the old",
    },
    { head: "confidence", number: true, get: ({ change }) => change.confidence, show: (row, value) => share(value, 3) },
    commitColumn("at", ({ series, change }) => changePlace(series, change.at)),
    {
      head: "since", tight: true, get: ({ series, change }) => day(DATA.commits[changePlace(series, change.at)]?.date_utc),
    },
    {
      head: "commits it may be", get: ({ change }) => `${change.good}..${change.bad}`,
      show: ({ change }) => rangeOf(change),
    },
    {
      head: "subject", get: ({ series, change }) => DATA.commits[changePlace(series, change.at)]?.subject ?? "",
    },
    {
      head: "state", get: ({ change }) => changeState(change),
    },
    { head: "note", get: ({ change }) => change.note },
    simulatedColumn,
  ];
}

function changeState(change) {
  if (change.is_open) return "open";
  return change.recovered ? "recovered" : "closed";
}

function rangeOf(change) {
  const [good, bad] = [commitOf(change.good), commitOf(change.bad)];
  const link = (place, hash) => (place < 0 ? shortHash(hash) || NONE : commitLink(place));
  return el("span", { class: "hash" }, link(good, change.good), "..", link(bad, change.bad));
}

function changeAddress(series, change) {
  const hash = DATA.commits[changePlace(series, change.at)]?.hash;
  return address("history", "", { series: series.id, at: hash });
}

const anySimulated = (rows) => rows.some((one) => one.simulated);

function openTable() {
  if (!DATA.series.length) return null;
  return makeTable({
    caption: "Open regressions", columns: changeColumns(), rows: OPEN, file: "open-regressions",
    simulated: anySimulated(OPEN), empty: "None: nothing is slower since a change and still so.",
  });
}

function problems() {
  const parts = DATA.notes;
  const list = parts.length
    ? el("div", { class: "note" }, el("h3", {}, "To be known"), el("ul", {}, parts.map((one) => el("li", {}, said(one)))))
    : null;
  if (!DATA.skipped.length) return list;
  return [list, el("details", { class: "note", open: DATA.skipped.length < 4 },
    el("summary", {}, `${plural(DATA.skipped.length, "file")} could not be read`),
    el("ul", {}, DATA.skipped.map((one) => el("li", {}, said(one)))))];
}

function allChanges() {
  const rows = changesOf(() => true);
  if (!rows.length) return null;
  const newest = ({ series, change }) => -changePlace(series, change.at);
  rows.sort((one, other) => newest(one) - newest(other));
  return makeTable({
    caption: "All changes, the newest first", columns: changeColumns(), rows, file: "changes", most: FEW,
    simulated: anySimulated(rows),
  });
}

function runsTable() {
  if (!DATA.runs.length) return null;
  const rows = [...DATA.runs].sort((one, other) => (one.created_utc < other.created_utc ? 1 : -1));
  return makeTable({
    caption: "Records, the newest first", file: "records", rows, most: FEW, simulated: anySimulated(rows),
    columns: [
      { head: "created", get: (run) => run.created_utc, show: (run) => minute(run.created_utc), tight: true },
      { head: "pipeline", get: (run) => run.pipeline },
      { head: "environment", get: (run) => environmentLabel(run.environment) },
      commitColumn("commit", (run) => run.commit ?? -1),
      { head: "validity", get: (run) => run.validity },
      { head: "findings", get: (run) => run.sentences.join("; "), show: (run, text) => long(text) },
      { head: "record", get: (run) => run.record_id },
      { head: "command", get: (run) => run.command, show: (run, text) => long(text, "code") },
      simulatedColumn,
    ],
  });
}
