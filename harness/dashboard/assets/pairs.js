// A/Bs: the verdict on each series, and the pairs that it comes from.

// Of too few pairs an end is not known: 0, or none.
const bound = (ratio) => (isNumber(ratio) && ratio > 0 ? ratio : null);
const boundWords = (row, value) => (value === null ? "no bound" : offOne(value));

const pairRowColumns = [
  {
    head: "series", get: (row) => row.label,
    show: (row, name) => {
      const choices = { ...shown.choices, ab: row.of.experiment, row: row.place };
      return el("a", { href: address("compare", "", choices) }, said(name));
    },
  },
  {
    head: "verdict", get: (row) => row.status,
    show: (row, value) => el("strong", { class: verdictClass(value) }, value),
  },
  {
    head: "head over base", csv: "ratio", number: true, get: (row) => bound(row.ratio),
    show: (row, value) => offOne(value),
  },
  { head: "lower", csv: "ratio lower", number: true, get: (row) => bound(row.lower), show: boundWords },
  { head: "upper", csv: "ratio upper", number: true, get: (row) => bound(row.upper), show: boundWords },
  { head: "pairs", number: true, get: (row) => row.pairs.length },
  { head: "why", get: (row) => row.reason, show: (row, value) => long(value) },
  simulatedColumn,
];

const verdictClass = (status) => ({ slower: "bad", faster: "good", inconclusive: "open" })[status] ?? "";

function showPairs(root, choices) {
  put(root, el("h3", {}, "A/Bs: two commits in turns"));
  if (!DATA.comparisons.length) {
    put(root, el("p", { class: "note" }, "None yet: ", el("code", {}, "harness ab BASE HEAD"), " measures one."));
    return;
  }
  const found = DATA.comparisons.find((one) => one.experiment === choices.ab) ?? DATA.comparisons[0];
  const rows = found.rows.map((row, place) => ({ ...row, of: found, place, simulated: found.simulated }));
  const whole = rows.find((row) => /^pipeline\b/.test(row.label));
  const chosen = rows[Number(choices.row ?? whole?.place)] ?? rows[0];
  const host = chartHost("pairs");
  put(root,
    selectOf({
      label: "A/B", name: "ab", value: found.experiment,
      options: DATA.comparisons.map((one) => [
        one.experiment, `${minute(one.created_utc)}  ${one.pipeline}: ${one.base} and ${one.head}, ${one.status}`]),
      onchange: (value) => choose({ ab: value, row: undefined }),
    }),
    el("div", { class: "facts" },
      el("p", {}, el("strong", { class: verdictClass(found.status) }, found.status.toUpperCase()),
        found.simulated ? [" ", badge(true)] : null, ": head ",
        sideLink(found.head, found.head_commit), " against base ", sideLink(found.base, found.base_commit),
        `, up to ${share(found.margin)} is the same, on `, said(environmentLabel(found.environment)), "."),
      found.findings.length ? el("ul", {}, found.findings.map((one) => el("li", {}, said(one)))) : null),
    makeTable({
      caption: `Verdicts of ${found.experiment}`, file: `ab-${found.experiment}`, rows, columns: pairRowColumns,
      simulated: found.simulated, empty: "No series was judged.",
    }),
    chosen ? host : null);
  if (chosen) drawPairs(host, chosen, found);
}

function sideLink(label, commit) {
  return commit === null ? said(label) : [said(label), " (", commitLink(commit), ")"];
}

// The ratio of each pair, and by which of the two went first.
function drawPairs(host, row, found) {
  drawChart(host, () => {
    const groups = [
      ["base first", "circle", (pair) => pair.base_turn < pair.head_turn],
      ["head first", "square", (pair) => pair.base_turn >= pair.head_turn],
    ];
    const traces = groups.map(([name, symbol, keep], order) => {
      const kept = row.pairs.map((pair, place) => ({ pair, place })).filter(({ pair }) => keep(pair));
      return {
        type: "scatter", mode: "markers", name, x: kept.map(({ place }) => place + 1),
        y: kept.map(({ pair }) => 100 * (pair.head_s / pair.base_s - 1)),
        customdata: kept.map(({ pair, place }) => lines(
          `pair ${place + 1}, ${name}: <b>${offOne(pair.head_s / pair.base_s)}</b>`,
          `base ${ms(pair.base_s)} ms (turn ${pair.base_turn}), `
            + `head ${ms(pair.head_s)} ms (turn ${pair.head_turn})`)),
        hovertemplate: HOVER, marker: { size: 10, symbol, color: seriesColour(order) },
      };
    });
    const x = [0.5, row.pairs.length + 0.5];
    const level = (value, name, paint, dash) => ({
      type: "scatter", mode: "lines", x, y: [value, value].map((one) => 100 * (one - 1)), name,
      hoverinfo: "skip", line: { color: paint, width: 2, dash },
    });
    const isBounded = bound(row.lower) !== null && bound(row.upper) !== null;
    const told = isBounded ? "with its interval" : "without an interval";
    const band = isBounded ? [{
      type: "rect", x0: x[0], x1: x[1], y0: 100 * (row.lower - 1), y1: 100 * (row.upper - 1), layer: "below",
      fillcolor: faded(colour("accent"), 0.18), line: { width: 0 },
    }] : [];
    if (bound(row.ratio) !== null) {
      traces.push(level(row.ratio, `${plain(row.status)}: ${offOne(row.ratio)}, ${told}`, colour("accent"), "solid"));
    }
    traces.push(level(1 + found.margin, `margin ${share(found.margin)}`, colour("line"), "dot"));
    traces.push({ ...level(1 - found.margin, "", colour("line"), "dot"), showlegend: false });
    return {
      traces, words: marked(found.simulated, `Ratio of each pair of processes of ${row.label}: ${row.status}`),
      layout: {
        title: `${plain(row.label)}: ratio by pair`, simulated: found.simulated, height: 380, shapes: band,
        xaxis: axis("pair, in the order measured", { dtick: row.pairs.length > 24 ? undefined : 1 }),
        yaxis: axis("head over base, %", { zeroline: true }),
      },
    };
  });
}
