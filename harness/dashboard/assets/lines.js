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
  const keyOf = (one) => `${one.environment} ${one.source}`;
  const key = keyOf(series);
  if (!measuredCommits.has(key)) {
    const all = new Set();
    for (const one of DATA.series) {
      if (isHistory(one) && keyOf(one) === key) for (const place of array(one.commits)) all.add(place);
    }
    measuredCommits.set(key, [...all].sort((one, other) => one - other));
  }
  return measuredCommits.get(key);
}

// The places in the series to draw, with -1 where the line has a gap.
function drawnPlaces(series) {
  if (!isHistory(series)) return figuredPlaces(series);
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

// Everything of one series; x gives a commit's place on the axis. Single runs are points: no line
// joins them, and no level lies below them.
function seriesTraces(series, { order, alone, x, shows, hasMarks }) {
  const isJoined = isHistory(series);
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
  if (shows("interval") && isJoined) traces.push(bandTrace(series, { places, x, factor, paint, group }));
  const detail = (told, dash, values, width) => ({
    ...group, type: "scatter", mode: modeOf(isJoined, isShort), name: `${name}: ${told}`, showlegend: false, y: values,
    line: { color: faded(paint, 0.75), width, dash }, marker: { size: 3 }, hoverinfo: "skip",
  });
  for (const [told, share, dash] of PERCENTILES) {
    if (shows(told)) traces.push(detail(told, dash, over((place) => quantile(series, place, share)), 1));
  }
  traces.push({
    ...group, type: "scatter", mode: modeOf(isJoined, hasMarks), name,
    y: over((place) => array(series.median_s)[place]),
    line: { color: paint, width: isLong ? 1.1 : 1.6 }, marker: { color: paint, size: 5, symbol: seriesMark(order) },
    customdata: places.map((place) => (place < 0 ? "" : hoverOf(series, place))), hovertemplate: HOVER,
    meta: { series: series.id, isJoined, commits: places.map((place) => (place < 0 ? -1 : commits[place])) },
  });
  if (shows("level") && isJoined) {
    const levels = detail("level", "solid", over((place) => array(series.levels_s)[place]), 2);
    const line = { ...levels.line, shape: "hv", color: faded(alone ? colour("ink") : paint, 0.65) };
    traces.push({ ...levels, line });
  }
  // Without its marks a point between two gaps would not be seen.
  const alones = hasMarks || !isJoined ? [] : places.map((place, at) => at).filter((at) =>
    places[at] >= 0 && !(places[at - 1] >= 0) && !(places[at + 1] >= 0));
  if (alones.length) {
    const { y } = traces.find((trace) => trace.meta);
    traces.push({
      ...group, type: "scatter", mode: "markers", name, showlegend: false, x: alones.map((at) => xs[at]),
      y: alones.map((at) => y[at]), marker: { color: paint, size: 5 }, hoverinfo: "skip",
    });
  }
  if (shows("changes") && isJoined && series.changes.length) traces.push(changeTrace(series, { x, factor, group }));
  return traces;
}

function modeOf(isJoined, hasMarks) {
  if (!isJoined) return "markers";
  return hasMarks ? "lines+markers" : "lines";
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
      xs.push(...[...stretch, ...back].map((place) => x(commits[place])), null);
      ys.push(...stretch.map((place) => upper[place] * factor));
      ys.push(...back.map((place) => lower[place] * factor), null);
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
  const of = (name) => told(array(series[name])[place]);
  return lines(
    `<b>${plain(shortHash(commit.hash))}</b> ${plain(minute(commit.date_utc))}`,
    plain(commit.subject.slice(0, 80)),
    plain(seriesName(series, WHOLE)),
    `median <b>${of("median_s")} ${plain(unit)}</b> (${of("lower_s")} to ${of("upper_s")})`,
    `min ${at(0)}  p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)}  max ${at(1)}`,
    `n = ${array(series.counts)[place] || NONE}${series.simulated ? `, ${SIMULATED}` : ""}`);
}

// How often a budget may be the highest figure and still be drawn: further up it would flatten them.
const NEAR = 3;

// The highest of what is shown of some series of times, in seconds.
function highestOf(of, on) {
  const shares = PERCENTILES.filter(([name]) => on.has(name)).map(([, share]) => share);
  let highest = 0;
  for (const series of of) {
    for (const place of figuredPlaces(series)) {
      const figures = [array(series.median_s)[place], ...shares.map((one) => quantile(series, place, one))];
      for (const figure of figures) if (figure > highest) highest = figure;
    }
  }
  return highest;
}

// The budgets of what is shown: those to draw, and those too far above it on a linear scale.
function budgetsOf(chosen, choices) {
  const of = chosen.filter((one) => one.unit === "seconds");
  const on = shownSet(choices);
  const all = on.has("budget") ? distinct(of.map((one) => one.budget_s).filter(isNumber)) : [];
  const highest = all.length ? highestOf(of, on) : 0;
  const isFar = (limit) => choices.scale !== "log" && limit > NEAR * highest;
  const far = all.filter(isFar);
  const isFitted = choices.fit === "budget";
  return { far, drawn: isFitted ? all : all.filter((limit) => !isFar(limit)), above: isFitted ? [] : far };
}

const budgetTrace = (limit, ends) => ({
  type: "scatter", mode: "lines", x: ends, y: [limit * 1e3, limit * 1e3], name: `budget ${bareMs(limit)} ms`,
  line: { color: colour("bad"), width: 1.5, dash: "dash" }, hoverinfo: "name",
});

// Beside the plot's upper edge, so that a picture of it says where the budget is.
function budgetArrow(above) {
  return {
    text: `budget ${above.map(bareMs).join(", ")} ms, above`, xref: "paper", yref: "paper", x: 0.02, y: 1,
    yshift: 22, ax: 0, ay: 14, xanchor: "left", showarrow: true, arrowhead: 2, arrowwidth: 1.5,
    arrowcolor: colour("bad"), font: { color: colour("bad"), size: 12 },
  };
}
