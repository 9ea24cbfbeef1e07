// What was measured at one commit, and how it lies against the commit before.

sections.commit = {
  isRebuilt: true,
  show(root, subject, choices) {
    const place = subject ? commitOf(subject) : newestMeasured();
    if (!DATA.commits.length) {
      root.replaceChildren(el("p", { class: "note" }, "No commit is known: nothing was measured at one."));
    } else if (place < 0) {
      const none = el("p", { class: "note" }, "There are no figures of commit ", said(subject), ".");
      root.replaceChildren(none, commitPicker(-1));
    } else keepingFocus(() => showCommit(root, place, choices));
  },
};

function commitPicker(place) {
  return commitChoice({
    label: "Commit", name: "commit", value: place, places: DATA.commits.map((one, at) => at),
    onchange: (at) => choose({ subject: DATA.commits[at].hash }),
  });
}

// The figures at a commit: those of each series that has some, with the ones before.
function figuresAt(commit) {
  return DATA.series.map((series) => {
    const place = placeOf(series, commit);
    if (place < 0) return null;
    // Single runs are no history: none is before another.
    const before = isHistory(series) ? placeBefore(series, place) : -1;
    const medians = array(series.median_s);
    const ratio = before < 0 ? null : medians[place] / medians[before];
    const change = series.changes.find((one) => one.at === place);
    return { series, place, before, ratio: isNumber(ratio) ? ratio : null, change, simulated: series.simulated };
  }).filter(Boolean);
}

function showCommit(root, commit, choices) {
  const all = figuresAt(commit);
  const found = all.filter((row) => matching([row.series], choices).length);
  const runs = DATA.runs.filter((run) => run.commit === commit);
  const asked = found.find((row) => row.series.id === Number(choices.series));
  const chosen = asked ?? found.find((row) => row.series === firstSeries(found.map((one) => one.series)));
  const distributions = el("div");
  const order = chartHost("order");
  const charts = runs.map((run) => [run, chartHost(`run ${run.record_id}`)]);
  root.replaceChildren(...[
    commitPicker(commit),
    commitFacts(commit, found),
    el("div", { class: "filters" }, facetSelects(
      all.map((row) => row.series), choices, (name, value) => choose({ [name]: value, series: undefined }))),
    figuresTable(found, commit),
    chosen ? el("div", {}, samplesHeading(found, chosen), distributions, order) : null,
    ...charts.map(([run, host]) => runPart(run, host)),
  ].filter(Boolean));
  if (chosen) {
    drawDistributions(distributions, sidesAt(chosen));
    drawOrder(order, chosen.series, chosen.place);
  }
  for (const [run, host] of charts) if (host.isConnected) drawRun(host, run);
}

// The commit's own, and that of the commit before.
function sidesAt({ series, place, before }) {
  const name = (at) => commitName(array(series.commits)[at]);
  const sides = [{ series, place, name: name(place) }];
  if (before >= 0) sides.push({ series, place: before, name: `${name(before)}, before` });
  return sides;
}

// A benchmark that failed has a row, and no figure.
const isMeasuredRow = ({ series, place }) => hasFigure(series, place);

function commitFacts(place, found) {
  const commit = DATA.commits[place];
  const environments = distinct(found.filter(isMeasuredRow).map((row) => row.series.environment)).map(environmentLabel);
  const changes = found.filter((row) => row.change);
  const here = changes.map(({ series, change }, order) => [
    order ? "; " : "", el("a", { href: changeAddress(series, change) }, said(seriesName(series))),
    ` ${changeWords(change)} ${offOne(change.ratio)}`]);
  const measured = environments.length
    ? `Measured on ${environments.map(visible).join("; ")}.` : "Not measured.";
  return el("div", { class: "facts" },
    el("p", { class: "subject" }, said(commit.subject || "(no subject known)")),
    el("p", {}, el("code", { class: "hash" }, commit.hash), " ",
      minute(commit.date_utc), commit.author ? [", ", said(commit.author)] : null, ". ",
      isWeb(commit.url) ? el("a", { href: commit.url, rel: "noopener noreferrer" }, "The commit itself") : null),
    el("p", { class: "quiet" }, measured),
    failuresOf(place).map(failureWords),
    changes.length ? el("p", {}, el("strong", {}, `${plural(changes.length, "change")} here: `), here) : null);
}

// Why it was not measured, of each environment that has not been since.
const failuresOf = (place) => DATA.failures.filter((one) => one.commit === place);

function failureWords(one) {
  return el("p", { class: "bad" }, "Could not be measured on ", said(one.machine), ", ", said(one.environment_name),
    ` (${minute(one.created_utc)}): it failed to `, said(one.stage), ": ", said(one.reason));
}

function emptyWords(commit) {
  const isMeasured = figuresAt(commit).some(isMeasuredRow);
  if (isMeasured) return "Nothing that fits these filters was measured here.";
  return DATA.runs.some((run) => run.commit === commit)
    ? "No figure here counts: its records are below." : "Nothing was measured here.";
}

function figuresTable(found, commit) {
  const nameOf = namerOf(found.map((row) => row.series));
  const { hash } = DATA.commits[commit];
  const seriesLink = ({ series }, name) => {
    const target = address("commit", hash, { ...shown.choices, series: series.id });
    return el("a", { href: target }, said(name));
  };
  const historyLink = ({ series }) => el("a", {
    href: address("history", "", { series: series.id, at: hash }),
    "aria-label": `History of ${visible(seriesName(series))}`,
  }, "show");
  const beforeKind = ({ change }) => (change?.direction === "faster" ? "good" : "bad");
  return makeTable({
    caption: `Figures at ${commitName(commit)}`, file: `commit-${commitName(commit)}`, rows: found,
    simulated: anySimulated(found), empty: emptyWords(commit),
    columns: [
      { head: "series", wide: true, get: ({ series }) => nameOf(series), show: seriesLink },
      ...identityColumns, unitColumn, countColumn(), figureColumn("median", valueAt("median_s")),
      {
        head: "vs before", csv: "ratio to before", number: true, get: (row) => row.ratio,
        title: "median against that of the last commit before it that has one in this environment",
        show: (row, value) => (row.change ? el("strong", { class: beforeKind(row) }, offOne(value)) : offOne(value)),
      },
      { head: "change", get: ({ change }) => (change ? changeWords(change) : ""), show: (row, value) => value || NONE },
      figureColumn("lower", valueAt("lower_s")), figureColumn("upper", valueAt("upper_s")),
      ...quantileColumns(),
      commitColumn("before", ({ series, before }) => (before < 0 ? -1 : array(series.commits)[before])),
      { head: "history", csv: "series id", get: ({ series }) => series.id, show: historyLink },
      simulatedColumn,
    ],
  });
}

function samplesHeading(found, chosen) {
  return el("div", { class: "tablehead" }, el("h3", {}, "Samples ", badge(chosen.simulated)),
    selectOf({
      label: "Series", name: "samples", value: chosen.series.id,
      options: found.slice(0, 400).map(({ series }) => [series.id, seriesName(series)]),
      onchange: (id) => choose({ series: id }),
    }));
}

function runPart(run, host) {
  const hasChart = run.blocks.some((block) => isNumber(block.median_s)) || Object.keys(run.readings).length > 1;
  return el("article", { class: "run" },
    el("h3", {}, "Record ", said(run.record_id), " ", badge(run.simulated)),
    el("p", { class: "quiet" }, said(run.pipeline), " on ", said(environmentLabel(run.environment)),
      `, ${minute(run.created_utc)}: `, el("code", {}, run.command)),
    run.is_complete ? null : el("p", { class: "open" }, "INTERRUPTED: only what was complete is shown"),
    validityWords(run),
    hasChart ? host : el("p", { class: "quiet" }, "The machine's state was not read."));
}
