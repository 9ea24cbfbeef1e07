// Changes of all series: their columns, and the open ones by what caused them.

const changesOf = (keep) => DATA.series.filter(isHistory).flatMap((series) =>
  series.changes.filter(keep).map((change) => ({ series, change, simulated: series.simulated })));

const changedAt = ({ series, change }) => changePlace(series, change.at);

const OPEN = changesOf((change) => change.is_open).sort((one, other) => other.change.ratio - one.change.ratio);

// What is slower in one environment since the same commits has one cause, in however many components
// and variants it is seen; the worst of them comes first.
const CAUSES = groupedBy(OPEN, ({ series, change, simulated }) => JSON.stringify(
  [series.environment, series.pipeline, change.good, change.bad, simulated]))
  .map((found) => ({ found, ...found[0] }));

// Whether changes were looked for in it: in a history that is long enough.
const isJudged = (series) => isHistory(series) && !series.too_few && series.component !== "canary"
  && array(series.commits).length >= FACTS.fewest
  && figuredPlaces(series).length >= FACTS.fewest;
const TOO_FEW = `too few commits to tell: changes are looked for in ${FACTS.fewest} and more of one history`;

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

// Where a change is: of one series, or of the worst that a cause has.
const placeColumns = [
  commitColumn("at", changedAt),
  { head: "since", tight: true, get: (row) => day(DATA.commits[changedAt(row)]?.date_utc) },
  {
    head: "commits it may be", get: ({ change }) => `${change.good}..${change.bad}`,
    show: ({ change }) => rangeOf(change),
  },
  { head: "subject", get: (row) => DATA.commits[changedAt(row)]?.subject ?? "" },
];

const changeColumns = [
  {
    head: "series", wide: true, get: ({ series }) => seriesName(series),
    show: ({ series, change }, name) => el("a", { href: changeAddress(series, change) }, said(name)),
  },
  ...identityColumns,
  { head: "what", tight: true, get: ({ change }) => changeWords(change) },
  {
    head: "size", csv: "ratio", number: true, get: ({ change }) => change.ratio,
    show: (row, value) => el("strong", {}, offOne(value)),
  },
  {
    head: "interval", seen: true, tight: true, get: ({ change }) => change.lower,
    title: "of the new level over the old, and the confidence level of such an interval",
    show: ({ change }) => `${interval(change.lower, change.upper)} (${share(change.confidence, 3)})`,
  },
  { head: "ratio lower", hidden: true, get: ({ change }) => change.lower },
  { head: "ratio upper", hidden: true, get: ({ change }) => change.upper },
  { head: "interval level", hidden: true, get: ({ change }) => change.confidence },
  ...placeColumns,
  { head: "state", get: ({ change }) => changeState(change) },
  { head: "note", get: ({ change }) => change.note },
  simulatedColumn,
];

function openTable() {
  if (!DATA.series.length) return null;
  return makeTable({
    caption: "Open regressions", columns: causeColumns(), rows: CAUSES, file: "open-regressions",
    simulated: anySimulated(CAUSES),
    empty: DATA.series.some(isJudged)
      ? "None: nothing is slower since a change and still so." : `Not known yet: ${TOO_FEW}.`,
  });
}

function causeColumns() {
  return [
    { head: "pipeline", get: ({ series }) => series.pipeline },
    { head: "environment", get: ({ series }) => environmentLabel(series.environment) },
    { head: "slower", wide: true, get: slowerText, show: slowerLinks },
    { head: "series", csv: "count of series", number: true, get: ({ found }) => found.length },
    {
      head: "the most", csv: "largest ratio", number: true, get: ({ change }) => change.ratio,
      show: (row, value) => el("strong", {}, offOne(value)),
    },
    ...placeColumns, simulatedColumn,
  ];
}

const MOST_NAMED = 8;
const namedIn = ({ found }) => shortNamerOf(found.map(({ series }) => series));

function slowerText(cause) {
  const nameOf = namedIn(cause);
  return cause.found.map(({ series, change }) => `${nameOf(series)} ${offOne(change.ratio)}`).join("; ");
}

function slowerLinks(cause) {
  const nameOf = namedIn(cause);
  const links = cause.found.slice(0, MOST_NAMED).map(({ series, change }, order) => [
    order ? "; " : "", el("a", { href: changeAddress(series, change) }, said(nameOf(series))),
    ` ${offOne(change.ratio)}`]);
  const left = cause.found.length - MOST_NAMED;
  return el("div", {}, links, left > 0 ? ` and ${left} more, below` : null);
}

function allChanges() {
  const rows = changesOf(() => true);
  if (!rows.length) return null;
  rows.sort((one, other) => changedAt(other) - changedAt(one));
  return makeTable({
    caption: "All changes, the newest first", columns: changeColumns, rows, file: "changes", most: FEW,
    simulated: anySimulated(rows),
  });
}
