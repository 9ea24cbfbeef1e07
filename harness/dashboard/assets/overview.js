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

const missesFloor = (budget) => budget.misses_floor === true;
// A record's verdict is of its accuracy as well: here it is told apart from that of its time.
const isLate = (budget) => budget.verdict === "missed"
  && (!missesFloor(budget) || (isNumber(budget.lower_s) && budget.lower_s > budget.limit_s));
const isInTime = (budget) => isNumber(budget.upper_s) && budget.upper_s <= budget.limit_s;
const timeWord = (budget) => {
  if (budget.verdict !== "missed" || isLate(budget)) return budget.verdict;
  return isInTime(budget) ? "within" : "inconclusive";
};
const isUnknown = (budget) => !["missed", "within"].includes(timeWord(budget));

// What is measured and what is made up is never one count.
function headline() {
  const newest = newestMeasured();
  const groups = [false, true].map((simulated) => counts(
    DATA.budgets.filter((one) => Boolean(one.simulated) === simulated),
    CAUSES.filter((one) => Boolean(one.simulated) === simulated),
    DATA.series.filter((one) => Boolean(one.simulated) === simulated && one.too_few).length,
    simulated, DATA.series.some((one) => Boolean(one.simulated) === simulated && isJudged(one)),
    DATA.series.some((one) => Boolean(one.simulated) === simulated)));
  const failed = distinct(DATA.failures.map((one) => one.hash)).length;
  return el("ul", { class: "headline" }, groups,
    failed
      ? el("li", { class: "bad" }, el("strong", {}, String(failed)),
        ` ${failed === 1 ? "commit" : "commits"} could not be measured`)
      : null,
    newest < 0 ? null : el("li", {}, "newest measured of ", plural(DATA.commits.length, "commit"), ": ",
      commitLink(newest), ` ${day(DATA.commits[newest].date_utc)} `, said(DATA.commits[newest].subject)));
}

function counts(budgets, causes, few, simulated, areJudged, hasSeries) {
  if (!budgets.length && !hasSeries) return [];
  const tell = (count, words, kind) =>
    el("li", { class: kind }, el("strong", {}, String(count)), ` ${words} `, badge(simulated));
  const missed = budgets.filter(isLate).length;
  const unknown = budgets.filter(isUnknown).length;
  const floors = budgets.filter(missesFloor).length;
  const all = causes.reduce((sum, cause) => sum + cause.found.length, 0);
  const of = all > causes.length ? `, of ${plural(all, "series", "series")}` : "";
  const regressions = causes.length === 1 ? "open regression" : "open regressions";
  return [
    budgets.length ? tell(missed, `of ${plural(budgets.length, "budget")} missed`, missed ? "bad" : "good") : null,
    unknown ? tell(unknown, "not known yet", "open") : null,
    floors ? tell(floors, "under the floor of accuracy", "bad") : null,
    areJudged ? tell(causes.length, regressions + of, causes.length ? "bad" : "good") : null,
    areJudged && few ? tell(few, "series with too few commits to tell", "open") : null,
    hasSeries && !areJudged ? tell("?", "regressions: too few commits to tell", "open") : null,
  ];
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
    const why = DATA.runs.length
      ? "none of the records' pipelines states one" : "there is no record, which would have it";
    return el("p", { class: "note" }, `No budget is known: ${why}.`);
  }
  const order = (one) => (missesFloor(one) ? 0 : ORDER.indexOf(one.verdict));
  const budgets = [...DATA.budgets].sort((one, other) => order(one) - order(other));
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
  const kind = `${budget.verdict.replace(" ", "-")}${missesFloor(budget) ? " under" : ""}`;
  const series = SERIES.get(budget.series);
  const words = budget.trend || "the newest medians, and their level";
  const recent = series && sparkline(series, words);
  return el("article", { class: `card ${kind}` },
    el("p", { class: "verdict" }, el("span", { "aria-hidden": "true" }, MARKS[budget.verdict] ?? "?"), " ",
      timeWord(budget).toUpperCase(),
      missesFloor(budget) ? el("span", { class: "bad" }, ", ACCURACY UNDER ITS FLOOR") : null, " ",
      badge(budget.simulated)),
    el("h4", {}, said(budget.pipeline), ", ", said(budget.variant), ", ", said(budget.size)),
    el("p", { class: "where" }, said(environmentLabel(budget.environment)),
      budget.arrival ? [", ", said(budget.arrival)] : null),
    p99Words(budget),
    floorWords(budget),
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

// Which of its parts are slower, and since which commit: of what was measured as the card's figure was.
function slowerSince(budget) {
  const whole = SERIES.get(budget.series);
  if (!whole) return [];
  const alike = ["environment", "pipeline", "variant", "size", "mode", "streams", "threads", "options"];
  const isOwn = (series) => series === whole || (series.component !== whole.component
    && alike.every((name) => series[name] === whole[name]));
  const groups = groupedBy(OPEN.filter(({ series }) => isOwn(series)), (one) => changedAt(one));
  return groups.map((here) => {
    const place = changedAt(here[0]);
    return el("p", { class: "bad" }, "Slower since ", commitLink(place), ` (${day(DATA.commits[place]?.date_utc)}): `,
      here.map(({ series, change }) => `${series.component} ${offOne(change.ratio)}`).join(", "));
  });
}

// Beside the time: what is too inaccurate is no use, however fast it is.
function floorWords(budget) {
  if (budget.floor_sentence) {
    return el("p", { class: missesFloor(budget) ? "bad" : "quiet" }, said(budget.floor_sentence));
  }
  if (!isNumber(budget.snr_db)) return null;
  const floor = isNumber(budget.min_snr_db) ? `, at least ${bare(budget.min_snr_db)} dB wanted` : "";
  return el("p", { class: missesFloor(budget) ? "bad" : "quiet" }, `SNR ${digits(budget.snr_db)} dB${floor}`);
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

function problems() {
  const parts = DATA.notes;
  const items = parts.map((one) => el("li", {}, said(one)));
  const list = parts.length ? el("div", { class: "note" }, el("h3", {}, "To be known"), el("ul", {}, items)) : null;
  if (!DATA.skipped.length) return list;
  return [list, el("details", { class: "note", open: DATA.skipped.length < 4 },
    el("summary", {}, `${plural(DATA.skipped.length, "file")} could not be read`),
    el("ul", {}, DATA.skipped.map((one) => el("li", {}, said(one)))))];
}

const endOf = (run) => (run.is_complete ? "complete" : "interrupted");

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
      { head: "run", get: endOf, show: (run, text) => el("span", { class: run.is_complete ? null : "open" }, text) },
      { head: "validity", get: (run) => run.validity },
      { head: "findings", get: (run) => run.sentences.join("; "), show: (run, text) => long(text) },
      { head: "record", get: (run) => run.record_id },
      { head: "command", get: (run) => run.command, show: (run, text) => long(text, "code") },
      simulatedColumn,
    ],
  });
}
