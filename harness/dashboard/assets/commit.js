// What was measured at one commit, and how it lies against the commit before.

sections.commit = {
  isRebuilt: true,
  show(root, subject, choices) {
    const place = subject ? commitOf(subject) : DATA.commits.length - 1;
    if (!DATA.commits.length) {
      root.replaceChildren(el("p", { class: "note" }, "No commit is known: nothing was measured at one."));
    } else if (place < 0) {
      root.replaceChildren(el("p", { class: "note" }, "There are no figures of commit ", said(subject), "."), commitPicker(-1));
    } else showCommit(root, place, choices);
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
    const medians = array(series.median_s);
    const ratio = place > 0 ? medians[place] / medians[place - 1] : null;
    const change = series.changes.find((one) => one.at === place);
    return { series, place, ratio: isNumber(ratio) ? ratio : null, change, simulated: series.simulated };
  }).filter(Boolean);
}

function showCommit(root, commit, choices) {
  const focused = document.activeElement?.id;
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
    el("div", { class: "filters" }, facetSelects(all.map((row) => row.series), choices, (name, value) => choose({ [name]: value, series: undefined }))),
    figuresTable(found, commit),
    chosen ? el("div", {}, samplesHeading(found, chosen), distributions, order) : null,
    ...charts.map(([run, host]) => runPart(run, host)),
  ].filter(Boolean));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (chosen) {
    drawDistributions(distributions, sidesAt(chosen));
    drawOrder(order, chosen.series, chosen.place);
  }
  for (const [run, host] of charts) if (host.isConnected) drawRun(host, run);
}

// The commit's own, and that of the commit before.
function sidesAt({ series, place }) {
  const name = (at) => commitName(array(series.commits)[at]);
  const sides = [{ series, place, name: name(place) }];
  if (place > 0) sides.push({ series, place: place - 1, name: `${name(place - 1)}, before` });
  return sides;
}

function commitFacts(place, found) {
  const commit = DATA.commits[place];
  const environments = distinct(found.map((row) => row.series.environment)).map(environmentLabel);
  const changes = found.filter((row) => row.change);
  return el("div", { class: "facts" },
    el("p", { class: "subject" }, said(commit.subject || "(no subject known)")),
    el("p", {}, el("code", { class: "hash" }, commit.hash), " ",
      minute(commit.date_utc), commit.author ? [", ", said(commit.author)] : null, ". ",
      isWeb(commit.url) ? el("a", { href: commit.url, rel: "noopener noreferrer" }, "The commit itself") : null),
    el("p", { class: "quiet" }, environments.length ? `Measured on ${environments.map(visible).join("; ")}.` : "Not measured."),
    changes.length
      ? el("p", {}, el("strong", {}, `${plural(changes.length, "change")} here: `), changes.map(({ series, change }, order) => [
        order ? "; " : "", el("a", { href: changeAddress(series, change) }, said(seriesName(series))), ` ${changeWords(change)} ${offOne(change.ratio)}`]))
      : null);
}

function figuresTable(found, commit) {
  const nameOf = namerOf(found.map((row) => row.series));
  const at = (share) => ({ series, place }) => quantile(series, place, share);
  const own = (name) => ({ series, place }) => array(series[name])[place];
  const figure = (head, get) => ({
    head, csv: head, number: true, get,
    show: ({ series }, value) => (isNumber(value) ? digits(value * scaleOf(series).factor) : NONE),
  });
  return makeTable({
    caption: `Figures at ${commitName(commit)}`, file: `commit-${commitName(commit)}`, rows: found,
    simulated: anySimulated(found), empty: "Nothing that fits these filters was measured here.",
    columns: [
      {
        head: "series", wide: true, get: ({ series }) => nameOf(series),
        show: ({ series }, name) => el("a", { href: address("commit", DATA.commits[commit].hash, { ...shown.choices, series: series.id }) }, said(name)),
      },
      { head: "unit", get: ({ series }) => series.unit, show: ({ series }) => scaleOf(series).unit },
      { head: "n", number: true, get: own("counts"), show: (row, value) => bare(value) },
      figure("median", own("median_s")),
      {
        head: "vs before", csv: "ratio to before", number: true, get: (row) => row.ratio,
        title: "median against that of the commit before it in this environment",
        show: (row, value) => (row.change ? el("strong", { class: row.change.direction === "faster" ? "good" : "bad" }, offOne(value)) : offOne(value)),
      },
      { head: "change", get: ({ change }) => (change ? changeWords(change) : ""), show: (row, value) => value || NONE },
      figure("lower", own("lower_s")), figure("upper", own("upper_s")),
      figure("min", at(0)), figure("p50", at(0.5)), figure("p90", at(0.9)), figure("p95", at(0.95)),
      figure("p99", at(0.99)), figure("max", at(1)),
      {
        head: "before", get: ({ series, place }) => DATA.commits[array(series.commits)[place - 1]]?.hash ?? null,
        show: ({ series, place }) => commitLink(place > 0 ? array(series.commits)[place - 1] : -1),
      },
      {
        head: "history", get: ({ series }) => series.id,
        show: ({ series }) => el("a", { href: address("history", "", { series: series.id, at: DATA.commits[commit].hash }), "aria-label": `History of ${visible(seriesName(series))}` }, "show"),
      },
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
    el("p", { class: "quiet" }, said(run.pipeline), ` on ${visible(environmentLabel(run.environment))}, ${minute(run.created_utc)}: `,
      el("code", {}, run.command)),
    validityWords(run),
    hasChart ? host : el("p", { class: "quiet" }, "The machine's state was not read."));
}
