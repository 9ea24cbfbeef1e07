// Two commits beside each other, which is no verdict; and A/Bs, which have one.

sections.compare = {
  isRebuilt: true,
  show(root, subject, choices) {
    const focused = document.activeElement?.id;
    root.replaceChildren();
    showPairs(root, choices);
    showTwo(root, choices);
    put(root, el("h3", {}, "Environments"), differencesTable(choices) ?? el("p", { class: "note" }, "All figures are of one environment."));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  },
};

// The commits that were measured in an environment.
function commitsOf(environment) {
  const all = new Set();
  for (const one of DATA.series) if (one.environment === environment) for (const place of array(one.commits)) all.add(place);
  return [...all].sort((one, other) => one - other);
}

function showTwo(root, choices) {
  put(root, el("h3", {}, "Any two commits"));
  if (DATA.commits.length < 2) {
    put(root, el("p", { class: "note" }, "Two commits are needed, and there are fewer."));
    return;
  }
  const measured = distinct(DATA.series.map((one) => one.environment));
  const environment = measured.includes(Number(choices.environment)) && choices.environment !== undefined
    ? Number(choices.environment) : measured[0];
  const places = commitsOf(environment);
  const asked = (name, other) => (choices[name] ? commitOf(choices[name]) : other);
  const base = asked("base", places.at(-2) ?? -1);
  const head = asked("head", places.at(-1) ?? -1);
  const pick = (label, name, value) => commitChoice({
    label, name, value, places, onchange: (place) => choose({ [name]: DATA.commits[place].hash }),
  });
  const distributions = el("div");
  put(root,
    el("p", { class: "note" }, "This describes; it is no verdict. The two were not measured in turns, so a drift of the machine looks like one of the code. ",
      el("code", {}, `harness ab ${base < 0 ? "BASE" : commitName(base)} ${head < 0 ? "HEAD" : commitName(head)}`), " measures them in turns."),
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
  const figure = (heading, get) => ({
    head: heading, number: true, get,
    show: ({ series }, value) => (isNumber(value) ? digits(value * scaleOf(series).factor) : NONE),
  });
  const own = (name, side) => (row) => array(row.series[name])[row[side]];
  const at = (part, side) => (row) => quantile(row.series, row[side], part);
  return makeTable({
    caption: `${commitName(head)} against ${commitName(base)} (no verdict)`, file: `compare-${commitName(base)}-${commitName(head)}`,
    rows, simulated: anySimulated(rows), empty: "Nothing was measured at both of them.",
    columns: [
      {
        head: "series", wide: true, get: ({ series }) => seriesName(series, { environment: false }),
        show: ({ series }, name) => el("a", { href: address("compare", "", { ...shown.choices, series: series.id }) }, said(name)),
      },
      { head: "unit", get: ({ series }) => series.unit, show: ({ series }) => scaleOf(series).unit },
      figure("base median", own("median_s", "first")), figure("head median", own("median_s", "second")),
      { head: "head over base", csv: "ratio", number: true, get: (row) => row.ratio, show: (row, value) => offOne(value) },
      {
        head: "intervals", get: (row) => (apart(row) ? "apart" : "overlap or not known"),
        title: "whether the two medians' own 95 % intervals overlap",
      },
      figure("base p99", at(0.99, "first")), figure("head p99", at(0.99, "second")),
      { head: "base n", number: true, get: own("counts", "first"), show: (row, value) => bare(value) },
      { head: "head n", number: true, get: own("counts", "second"), show: (row, value) => bare(value) },
      simulatedColumn,
    ],
  });
}

function apart({ series, first, second }) {
  const [lower, upper] = [array(series.lower_s), array(series.upper_s)];
  return lower[second] > upper[first] || upper[second] < lower[first];
}
