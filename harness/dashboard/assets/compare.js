// Two commits beside each other, which is no verdict; and A/Bs, which have one.

sections.compare = {
  isRebuilt: true,
  show(root, subject, choices) {
    keepingFocus(() => {
      root.replaceChildren();
      showPairs(root, choices);
      showTwo(root, choices);
      const none = el("p", { class: "note" }, "All figures are of one environment.");
      put(root, el("h3", {}, "Environments"), differencesTable(choices) ?? none);
    });
  },
};

// The environment that is asked for; else the one of most commits, which has two to compare.
function comparedIn(choices) {
  const measured = groupedBy(DATA.series, (one) => one.environment).map((of) => ({
    environment: of[0].environment, places: commitsOf(of),
    count: commitsOf(of.filter(isHistory)).filter(isCommit).length,
  }));
  const asked = measured.find(({ environment }) => String(environment) === choices.environment);
  const most = measured.reduce((one, other) => (other.count > one.count ? other : one));
  return { ...asked ?? most, measured: measured.map(({ environment }) => environment) };
}

function showTwo(root, choices) {
  put(root, el("h3", {}, "Any two commits"));
  if (DATA.commits.length < 2 || !DATA.series.length) {
    put(root, el("p", { class: "note" }, "Two commits are needed, and there are fewer."));
    return;
  }
  const { environment, places, measured } = comparedIn(choices);
  const asked = (name, other) => (choices[name] ? commitOf(choices[name]) : other);
  const real = places.filter(isCommit);
  const newest = real.length < 2 ? places : real;
  const base = asked("base", newest.at(-2) ?? -1);
  const head = asked("head", newest.at(-1) ?? -1);
  const pick = (label, name, value) => commitChoice({
    label, name, value, places, onchange: (place) => choose({ [name]: DATA.commits[place].hash }),
  });
  const distributions = el("div");
  put(root,
    el("p", { class: "note" }, "This describes; it is no verdict. The two were not measured in turns, ",
      "so a drift of the machine looks like one of the code. ",
      el("code", {}, `harness ab ${base < 0 ? "BASE" : commitName(base)} ${head < 0 ? "HEAD" : commitName(head)}`),
      " measures them in turns."),
    selectOf({
      label: "Environment", name: "two-environment", value: environment,
      options: measured.map((id) => [id, environmentLabel(id)]),
      onchange: (id) => choose({ environment: id, base: undefined, head: undefined, series: undefined }),
    }),
    pick("Base", "base", base), pick("Head", "head", head));
  const rows = twoRows(environment, base, head);
  put(root, twoTable(rows, base, head));
  const chosen = rows.find((row) => row.series.id === Number(choices.series)) ?? rows[0];
  if (!chosen) return;
  put(root, el("h4", {}, said(seriesName(chosen.series))), distributions);
  drawDistributions(distributions, [
    { series: chosen.series, place: chosen.first, name: `base ${commitName(base)}` },
    { series: chosen.series, place: chosen.second, name: `head ${commitName(head)}` },
  ]);
}

function twoRows(environment, base, head) {
  const rows = [];
  for (const series of DATA.series) {
    if (series.environment !== environment) continue;
    const [first, second] = [placeOf(series, base), placeOf(series, head)];
    if (first < 0 || second < 0) continue;
    const medians = array(series.median_s);
    rows.push({ series, first, second, ratio: medians[second] / medians[first], simulated: series.simulated });
  }
  return rows.sort((one, other) => (other.series.component === "pipeline") - (one.series.component === "pipeline"));
}

function twoTable(rows, base, head) {
  const nameOf = namerOf(rows.map((row) => row.series));
  const link = ({ series }, name) =>
    el("a", { href: address("compare", "", { ...shown.choices, series: series.id }) }, said(name));
  return makeTable({
    caption: `${commitName(head)} against ${commitName(base)} (no verdict)`,
    file: `compare-${commitName(base)}-${commitName(head)}`, rows, simulated: anySimulated(rows),
    empty: "Nothing was measured at both of them.",
    columns: [
      { head: "series", wide: true, get: ({ series }) => nameOf(series), show: link },
      ...identityColumns, unitColumn,
      figureColumn("base median", valueAt("median_s", "first")),
      figureColumn("head median", valueAt("median_s", "second")),
      {
        head: "head over base", csv: "ratio", number: true, get: (row) => row.ratio,
        show: (row, value) => offOne(value),
      },
      {
        head: "intervals", get: (row) => (apart(row) ? "apart" : "overlap or not known"),
        title: "whether the two medians' own 95 % intervals overlap",
      },
      figureColumn("base p99", quantileAt(0.99, "first")),
      figureColumn("head p99", quantileAt(0.99, "second")),
      countColumn("base n", "first"), countColumn("head n", "second"), simulatedColumn,
    ],
  });
}

function apart({ series, first, second }) {
  const [lower, upper] = [array(series.lower_s), array(series.upper_s)];
  return lower[second] > upper[first] || upper[second] < lower[first];
}
