// A series over commits as plotly's traces: the median with its interval, percentiles, the level
// that changes leave, the changes, and the budget.

const PERCENTILES = [
  ["p99", 0.99, "dot"], ["p95", 0.95, "dashdot"], ["p90", 0.9, "dash"], ["p50", 0.5, "longdash"],
  ["min", 0, "longdashdot"], ["max", 1, "solid"],
];

// The commits at which an environment has any figure of a source: one of them without a figure of
// a series is a hole in it, a commit of another machine is not.
const measuredCommits = new Map();

function measuredAt(series) {
  const key = `${series.environment} ${series.source}`;
  if (!measuredCommits.has(key)) {
    const all = new Set();
    for (const one of DATA.series) {
      if (`${one.environment} ${one.source}` === key) for (const place of array(one.commits)) all.add(place);
    }
    measuredCommits.set(key, [...all].sort((one, other) => one - other));
  }
  return measuredCommits.get(key);
}

// The places in the series to draw, with -1 where the line has a gap.
function drawnPlaces(series) {
  const own = new Map([...array(series.commits)].map((commit, place) => [commit, place]));
  const medians = array(series.median_s);
  const places = [];
  let gap = false;
  for (const commit of measuredAt(series)) {
    const place = own.get(commit);
    if (place === undefined || !isNumber(medians[place])) {
      gap = places.length > 0;
      continue;
    }
    if (gap) places.push(-1);
    gap = false;
    places.push(place);
  }
  return places;
}

// Everything of one series; x gives a commit's place on the axis.
function seriesTraces(series, { order, alone, x, shows, hasMarks }) {
  const paint = seriesColour(order);
  const places = drawnPlaces(series);
  const { factor } = scaleOf(series);
  const commits = array(series.commits);
  const xs = places.map((place) => (place < 0 ? null : x(commits[place])));
  const over = (value) => places.map((place) => {
    const figure = place < 0 ? null : value(place);
    return isNumber(figure) ? figure * factor : null;
  });
  const name = plain(seriesName(series));
  // Of a few even one that stands alone is to be seen.
  const isShort = places.length < 40;
  const isLong = places.length > 200;
  const group = { legendgroup: `s${series.id}`, x: xs };
  const traces = [];
  if (shows("interval")) traces.push(bandTrace(series, { places, x, factor, paint, group }));
  const detail = (told, dash, values, width) => ({
    ...group, type: "scatter", mode: isShort ? "lines+markers" : "lines", name: `${name}: ${told}`, showlegend: false, y: values,
    line: { color: faded(paint, 0.75), width, dash }, marker: { size: 3 }, hoverinfo: "skip",
  });
  for (const [told, share, dash] of PERCENTILES) {
    if (shows(told)) traces.push(detail(told, dash, over((place) => quantile(series, place, share)), 1));
  }
  traces.push({
    ...group, type: "scatter", mode: hasMarks ? "lines+markers" : "lines", name, y: over((place) => array(series.median_s)[place]),
    line: { color: paint, width: isLong ? 1.1 : 1.6 }, marker: { color: paint, size: 5 },
    customdata: places.map((place) => (place < 0 ? "" : hoverOf(series, place))), hovertemplate: HOVER,
    meta: { series: series.id, commits: places.map((place) => (place < 0 ? -1 : commits[place])) },
  });
  if (shows("level")) {
    const levels = detail("level", "solid", over((place) => array(series.levels_s)[place]), 2);
    traces.push({ ...levels, line: { ...levels.line, shape: "hv", color: faded(alone ? colour("ink") : paint, 0.65) } });
  }
  // Without its marks a point between two gaps would not be seen.
  const alones = hasMarks ? [] : places.map((place, at) => at).filter((at) =>
    places[at] >= 0 && !(places[at - 1] >= 0) && !(places[at + 1] >= 0));
  if (alones.length) {
    const { y } = traces.find((trace) => trace.meta);
    traces.push({
      ...group, type: "scatter", mode: "markers", name, showlegend: false, x: alones.map((at) => xs[at]),
      y: alones.map((at) => y[at]), marker: { color: paint, size: 5 }, hoverinfo: "skip",
    });
  }
  if (shows("changes") && series.changes.length) traces.push(changeTrace(series, { x, factor, group }));
  return traces;
}

// One polygon for each stretch without a gap.
function bandTrace(series, { places, x, factor, paint, group }) {
  const [xs, ys] = [[], []];
  const commits = array(series.commits);
  const [lower, upper] = [array(series.lower_s), array(series.upper_s)];
  let stretch = [];
  const close = () => {
    const back = [...stretch].reverse();
    if (stretch.length > 1) {
      xs.push(...stretch.map((place) => x(commits[place])), ...back.map((place) => x(commits[place])), null);
      ys.push(...stretch.map((place) => upper[place] * factor), ...back.map((place) => lower[place] * factor), null);
    }
    stretch = [];
  };
  for (const place of places) {
    if (place >= 0 && isNumber(lower[place]) && isNumber(upper[place])) stretch.push(place);
    else close();
  }
  close();
  return {
    ...group, x: xs, y: ys, type: "scatter", mode: "lines", fill: "toself", fillcolor: faded(paint, 0.2),
    line: { width: 0 }, hoverinfo: "skip", showlegend: false, name: "interval",
  };
}

function changeTrace(series, { x, factor, group }) {
  const changes = series.changes;
  const commits = array(series.commits);
  const medians = array(series.median_s);
  const faster = (change) => change.direction === "faster";
  return {
    ...group, type: "scatter", mode: "markers", name: "change", showlegend: false,
    x: changes.map((change) => x(commits[change.at])),
    y: changes.map((change) => medians[change.at] * factor),
    customdata: changes.map((change) => lines(
      `<b>${plain(changeWords(change))} ${offOne(change.ratio)}</b> (${interval(change.lower, change.upper)})`,
      `${changeState(change)}; ${plain(shortHash(change.good))}..${plain(shortHash(change.bad))}`,
      plain(change.note), hoverOf(series, change.at), "click: open the commit")),
    hovertemplate: HOVER,
    marker: {
      size: 13, line: { width: 1.5, color: colour("panel") },
      symbol: changes.map((change) => SYMBOLS[change.kind]?.[faster(change) ? 1 : 0] ?? "diamond"),
      color: changes.map((change) => colour(faster(change) ? "good" : "bad")),
    },
    meta: { changes: changes.map((change) => DATA.commits[commits[change.at]].hash) },
  };
}

const SYMBOLS = {
  step: ["triangle-up", "triangle-down"], spike: ["diamond", "diamond"],
  drift: ["triangle-ne", "triangle-se"],
};

function hoverOf(series, place) {
  const commit = DATA.commits[array(series.commits)[place]];
  const { factor, unit } = scaleOf(series);
  const told = (value) => (isNumber(value) ? digits(value * factor) : NONE);
  const at = (share) => told(quantile(series, place, share));
  return lines(
    `<b>${plain(shortHash(commit.hash))}</b> ${plain(minute(commit.date_utc))}`,
    plain(commit.subject.slice(0, 80)),
    plain(seriesName(series, WHOLE)),
    `median <b>${told(array(series.median_s)[place])} ${plain(unit)}</b> (${told(array(series.lower_s)[place])} to ${told(array(series.upper_s)[place])})`,
    `min ${at(0)}  p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)}  max ${at(1)}`,
    `n = ${array(series.counts)[place] || NONE}${series.simulated ? `, ${SIMULATED}` : ""}`);
}

// The budget as a line where the data are near it; far away it would flatten them.
function budgetTraces(chosen, highest, ends) {
  const budgets = distinct(chosen.map((one) => one.budget_s).filter(isNumber));
  const near = budgets.filter((limit) => limit * 1e3 < 3 * highest);
  const far = budgets.filter((limit) => !near.includes(limit));
  const traces = near.map((limit) => ({
    type: "scatter", mode: "lines", x: ends, y: [limit * 1e3, limit * 1e3], name: `budget ${bareMs(limit)} ms`,
    line: { color: colour("bad"), width: 1.5, dash: "dash" }, hoverinfo: "name",
  }));
  const told = far.length ? `budget ${far.map(bareMs).join(", ")} ms: above this chart` : "";
  return { traces, told };
}
