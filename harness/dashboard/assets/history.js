// Latency over commits: which series, which percentiles, and where it changed.

const MOST_LINES = 12;
const MOST_LISTED = 200;
const SHOWS = ["interval", "level", "changes", "budget"];
const SHOWN_AT_FIRST = [...SHOWS, "p99"];

const historyParts = {};

sections.history = {
  show(root, subject, choices) {
    if (!root.firstChild) buildHistory(root);
    showHistory(choices);
  },
};

// A keystroke later all would be drawn anew.
const TYPING_MS = 200;
let typing = 0;

function findSeries(event) {
  clearTimeout(typing);
  typing = setTimeout(() => {
    if (shown.section !== "history") return;
    choose(sifted({ find: event.target.value }), { replace: true });
  }, TYPING_MS);
}

// Where there is little room the chart comes first, and what chooses it is folded.
const hasRoom = () => window.innerWidth > 760;

function buildHistory(root) {
  Object.assign(historyParts, {
    filters: el("div", { class: "filters" }), picker: el("div", { class: "picker" }),
    hidden: el("div"), views: el("div", { class: "filters" }), charts: el("div"),
    changes: el("div"), table: el("div"),
    find: el("input", { type: "search", id: "find-series", autocomplete: "off", oninput: findSeries }),
  });
  const { filters, picker, hidden, views, charts, changes, table, find } = historyParts;
  put(root, el("div", { class: "columns" },
    el("details", { class: "narrow", open: hasRoom() }, el("summary", {}, "Choose series"),
      el("div", { class: "choice" }, el("label", { htmlFor: "find-series" }, "Find series"), find),
      filters, picker),
    el("div", { class: "wide" }, hidden,
      el("details", { class: "views", open: hasRoom() }, el("summary", {}, "What is drawn"), views),
      charts, changes)), table);
}

function showHistory(choices) {
  if (!DATA.series.length) {
    const none = "There is no history yet: nothing was measured at a commit.";
    historyParts.charts.replaceChildren(el("p", { class: "note" }, none));
    return;
  }
  const found = matching(DATA.series, choices);
  const chosen = chosenSeries(found, choices);
  const filter = (name, value) => choose(sifted({ [name]: value || undefined, at: undefined }));
  if (document.activeElement !== historyParts.find) historyParts.find.value = choices.find ?? "";
  keepingFocus(() => {
    historyParts.filters.replaceChildren(...facetSelects(DATA.series, choices, filter).filter(Boolean));
    drawPicker(found, chosen);
    drawViews(chosen, choices);
  });
  historyParts.hidden.replaceChildren(hiddenNote(hiddenSeries(choices)));
  drawChosen(chosen, choices);
}

// What is drawn stays while it would look the same: while somebody looks for a series.
function drawChosen(chosen, choices) {
  const { find, hidden, ...others } = choices;
  const look = [isDark(), paper.matches, historyParts.charts.clientWidth];
  const key = JSON.stringify([chosen.map((one) => one.id), others, look]);
  const hosts = [...historyParts.charts.querySelectorAll(".chart")];
  if (key === historyParts.drawn && hosts.every((host) => host.data)) return;
  historyParts.drawn = key;
  drawHistoryCharts(chosen, choices);
  historyParts.changes.replaceChildren(changeList(chosen));
  historyParts.table.replaceChildren(historyTable(chosen));
}

const seriesOf = (text) => distinct(idsOf(text)).map((id) => SERIES.get(id)).filter(Boolean);
const idsText = (some) => some.map((one) => one.id).join(",") || undefined;

// Those that are named; else the first that matters.
function chosenSeries(found, choices) {
  const named = seriesOf(choices.series);
  if (named.length) return named.slice(0, MOST_LINES);
  const first = firstSeries(found);
  return first ? [first] : [];
}

// What is ticked, and does not fit the filters.
function hiddenSeries(choices) {
  const named = seriesOf(choices.series);
  return seriesOf(choices.hidden).filter((one) => !named.includes(one));
}

// Filters that change: they hide what is ticked, and forget none of it.
function sifted(filters) {
  const all = [...seriesOf(shown.choices.series), ...hiddenSeries(shown.choices)].slice(0, MOST_LINES);
  const kept = matching(all, { ...shown.choices, ...filters });
  const hidden = all.filter((one) => !kept.includes(one));
  return { ...filters, series: idsText(kept), hidden: idsText(hidden), ...unzoomed() };
}

function hiddenNote(hidden) {
  if (!hidden.length) return "";
  const are = hidden.length === 1 ? "is" : "are";
  return el("div", { class: "note" },
    el("p", {}, `${plural(hidden.length, "ticked series", "ticked series")} ${are} hidden by the filters:`),
    el("ul", {}, hidden.map((series) => el("li", {}, said(seriesName(series))))),
    buttonOf("Show them", showHidden, { class: "more" }));
}

function showHidden() {
  historyParts.find.value = "";
  // The button is gone then.
  document.getElementById("heading-history").focus({ preventScroll: true });
  const facets = Object.fromEntries(FACETS.map(([name]) => [name, undefined]));
  choose(sifted({ ...facets, find: undefined, at: undefined }));
}

function drawPicker(found, chosen) {
  const ids = chosen.map((one) => one.id);
  const listed = [...chosen, ...found.filter((one) => !ids.includes(one.id)).slice(0, MOST_LISTED)];
  const boxes = listed.map((series) => {
    const order = ids.indexOf(series.id);
    const mark = el("span", {
      class: "key", "aria-hidden": "true", style: order < 0 ? {} : { background: `var(--c${order % SERIES_COLOURS})` },
    });
    const box = checkOf({
      label: seriesName(series), checked: order >= 0, mark,
      onchange: (on) => {
        const wanted = on ? [...ids, series.id].slice(-MOST_LINES) : ids.filter((id) => id !== series.id);
        choose({ series: wanted.join(",") || undefined, at: undefined, ...unzoomed() });
      },
    });
    box.querySelector("input").id = `series-${series.id}`;
    return box;
  });
  const left = found.length + chosen.filter((one) => !found.includes(one)).length - listed.length;
  historyParts.picker.replaceChildren(
    el("p", { class: "quiet", id: "found" },
      `${plural(found.length, "series", "series")} found, ${chosen.length} shown`),
    el("div", { class: "boxes", role: "group", "aria-label": "Series shown" }, boxes),
    left > 0 ? el("p", { class: "quiet" }, `and ${left} more: filter or find them`) : "");
}

const shownSet = (choices) => new Set(choices.show === undefined ? SHOWN_AT_FIRST : choices.show.split("."));

function drawViews(chosen, choices) {
  const on = shownSet(choices);
  const checks = [...PERCENTILES.map(([name]) => name), ...SHOWS].map((name) => {
    const box = checkOf({
      label: name, checked: on.has(name),
      onchange: (checked) => {
        if (checked) on.add(name);
        else on.delete(name);
        choose({ show: [...on].join(".") || "none" });
      },
    });
    box.querySelector("input").id = `show-${name}`;
    return box;
  });
  historyParts.views.replaceChildren(
    selectOf({
      label: "Scale", name: "scale", options: [["", "linear"], ["log", "logarithmic"]],
      value: choices.scale, onchange: (value) => choose({ scale: value, ...unzoomed() }),
    }),
    selectOf({
      label: "Across", name: "across", options: [["", "commits"], ["date", "dates"]],
      value: choices.across, onchange: (value) => choose({ across: value, ...unzoomed() }),
    }),
    el("fieldset", {}, el("legend", { class: "unseen" }, "Shown beside the median"), checks),
    fitButton(chosen, choices) ?? "",
    buttonOf("Reset zoom", resetZoom, { id: "reset-zoom" }));
}

// Where the budget is so far above the data that only one of the two can be seen well.
function fitButton(chosen, choices) {
  if (!budgetsOf(chosen, choices).far.length) return null;
  const [words, fit] = choices.fit === "budget" ? ["Show the data alone"] : ["Show budget", "budget"];
  return buttonOf(words, () => choose({ fit, ...unzoomed() }), { id: "fit-budget" });
}

// One chart for each unit: what is not of one kind shares no axis.
function drawHistoryCharts(all, choices) {
  const chosen = all.filter((series) => figuredPlaces(series).length);
  if (!chosen.length) {
    const none = "Nothing that is chosen was measured.";
    historyParts.charts.replaceChildren(el("p", { class: "note" }, none));
    return;
  }
  const units = distinct(chosen.map((one) => one.unit));
  const hosts = new Map([...historyParts.charts.children].map((host) => [host.dataset.chart, host]));
  const wanted = units.map((unit) => hosts.get(`history ${unit}`) ?? chartHost(`history ${unit}`));
  if (wanted.length !== hosts.size || wanted.some((host) => !host.isConnected)) {
    historyParts.charts.replaceChildren(...wanted);
  }
  units.forEach((unit, place) => {
    const of = chosen.filter((one) => one.unit === unit);
    drawChart(wanted[place], () => historyChart(wanted[place], of, chosen, choices));
  });
}

let drawings = 0;

function historyChart(host, of, chosen, choices) {
  const isDate = choices.across === "date";
  const x = isDate ? (commit) => DATA.commits[commit].date_utc : (commit) => commit;
  const seen = ends(of.flatMap((series) => figuredPlaces(series).map((place) => array(series.commits)[place])));
  const [from, to] = [seen[0], seen.at(-1)];
  const at = commitOf(choices.at);
  const { unit, isTime } = { unit: scaleOf(of[0]).unit, isTime: of[0].unit === "seconds" };
  const whole = isDate ? undefined : wholeRange(from, to, at);
  const lonely = isDate && from === to ? daysAbout(x(from)) : undefined;
  const zoom = zoomOf(choices, of[0].unit, isDate);
  const range = zoom?.x ?? whole ?? lonely;
  const on = shownSet(choices);
  const traces = of.flatMap((series) => seriesTraces(series, {
    order: chosen.indexOf(series), alone: of.length === 1, x, hasMarks: hasMarks(isDate ? [from, to] : range),
    shows: (name) => on.has(name),
  }));
  const { drawn: limits, above } = isTime ? budgetsOf(of, choices) : { drawn: [], above: [] };
  const budgets = limits.map((limit) => budgetTrace(limit, [x(from), x(to)]));
  const simulated = anySimulated(of);
  const names = of.map((one) => seriesName(one, WHOLE)).join("; ");
  return {
    traces: [...traces, ...budgets],
    words: marked(simulated, `Chart of ${names} over commits. The table below has its figures.`),
    on: {
      plotly_click: openPoint,
      plotly_relayout: (change) => {
        retick(change, historyParts.charts);
        if (noteZoom(change, host, of[0].unit, whole)) historyParts.drawn = null;
      },
      plotly_doubleclick: resetZoom,
    },
    layout: {
      title: of.length === 1 ? plain(seriesName(of[0])) : plural(of.length, "series", "series"),
      simulated, height: hasRoom() ? 460 : 360,
      // What is seen is in the address; what is hidden in the legend stays so.
      uirevision: JSON.stringify(of.map((one) => one.id)),
      xaxis: axis("", {
        ...(isDate ? { type: "date", range } : { range: [...range], ...commitTicks(...range, chartWidth()) }),
        uirevision: drawings += 1,
      }),
      yaxis: axis(plain(isTime ? "latency, ms" : unit), {
        type: choices.scale === "log" ? "log" : "linear", range: zoom?.y, uirevision: drawings,
      }),
      showlegend: of.length > 1 || budgets.length > 0,
      annotations: above.length ? [budgetArrow(above)] : [],
      shapes: at < 0 ? [] : [{
        type: "line", x0: x(at), x1: x(at), yref: "paper", y0: 0, y1: 1, layer: "below",
        line: { color: colour("accent"), width: 1, dash: "dot" },
      }],
    },
  };
}

// The day before and the day after.
function daysAbout(date) {
  const time = Date.parse(date);
  if (!isNumber(time)) return undefined;
  return [-1, 1].map((days) => new Date(time + days * 864e5).toISOString().slice(0, 19).replace("T", " "));
}

// All commits, or those about one.
function wholeRange(from, to, at) {
  const margin = Math.max(0.5, 0.015 * (to - from));
  return at < 0 ? [from - margin, to + margin] : [at - 30.5, at + 30.5];
}

const chartWidth = () => Math.max(240, (historyParts.charts.clientWidth || 800) - 80);

// A mark for each commit, where not so many are seen that they hide the line and take long to draw.
const MOST_MARKS = 200;
const hasMarks = ([from, to]) => to - from <= MOST_MARKS;

// Names of commits for what is seen now, and their marks.
function retick(change, root) {
  const keys = Object.keys(change);
  if (!keys.some((key) => key.startsWith("xaxis")) || keys.includes("xaxis.tickvals")) return;
  for (const host of root.querySelectorAll(".chart")) {
    const found = host._fullLayout?.xaxis;
    if (!found || found.type === "date") continue;
    const { tickvals, ticktext } = commitTicks(...found.range, chartWidth());
    const mode = modeOf(true, hasMarks(found.range));
    const medians = [...host.data.keys()].filter((place) => host.data[place].meta?.isJoined);
    const turns = medians.some((place) => host.data[place].mode !== mode);
    const ticks = { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext };
    if (turns) Plotly.update(host, { mode }, ticks, medians);
    else Plotly.relayout(host, ticks);
  }
}

function openPoint(event) {
  const point = event.points.find((one) => one.data.meta?.changes) ?? event.points[0];
  const hash = point.data.meta?.changes?.[point.pointNumber];
  if (hash) go(address("commit", hash));
  else if (point.data.meta?.commits) {
    const commit = DATA.commits[point.data.meta.commits[point.pointNumber]];
    go(address("commit", commit.hash, { series: point.data.meta.series }));
  }
}

// Beside the chart, for the keyboard and for whoever prints it.
function changeList(chosen) {
  const found = chosen.filter(isHistory).flatMap((series) => series.changes.map((change) => ({ series, change })));
  const notes = distinct(chosen.map((one) => one.canary_note).filter(Boolean));
  const told = notes.map((one) => el("p", { class: "quiet" }, said(one)));
  if (!found.length) {
    const none = chosen.some(isJudged) ? "No change is seen in what is shown." : `No change is seen: ${TOO_FEW}.`;
    const few = chosen.some(isJudged) ? chosen.filter((series) => series.too_few) : [];
    return el("div", {}, el("p", { class: "quiet" }, none),
      few.length
        ? el("p", { class: "quiet" }, "Of ", few.map((one) => seriesName(one)).join("; "), `: ${TOO_FEW}.`)
        : null,
      told);
  }
  found.sort((one, other) => changePlace(other.series, other.change.at) - changePlace(one.series, one.change.at));
  return el("div", {}, el("h3", {}, "Changes in what is shown"),
    el("ol", { class: "changes" }, found.map(({ series, change }) => {
      const place = changePlace(series, change.at);
      return el("li", { class: change.direction === "faster" ? "good" : "bad" },
        el("a", { href: address("commit", DATA.commits[place].hash, { series: series.id }) },
          el("strong", {}, offOne(change.ratio)), ` ${changeWords(change)} at ${commitName(place)}`),
        ` (${interval(change.lower, change.upper)}), ${changeState(change)}, `,
        rangeOf(change), " ", said(DATA.commits[place].subject),
        chosen.length > 1 ? [": ", said(seriesName(series))] : null,
        change.note ? [". ", said(change.note)] : null, " ",
        el("a", {
          href: changeAddress(series, change), "aria-label": `Show ${commitName(place)} in the chart`,
        }, "in the chart"), " ", badge(series.simulated));
    })), told);
}

function historyTable(chosen) {
  const rows = chosen.flatMap((series) => figuredPlaces(series).map((place) => ({
    series, place, commit: array(series.commits)[place], simulated: series.simulated,
  })));
  rows.sort((one, other) => other.commit - one.commit);
  const units = distinct(chosen.map((one) => scaleOf(one).unit));
  const unit = units.length === 1 ? units[0] : "";
  // In the file times are in seconds.
  const unitOf = (head) => ({
    head: `${head} ${unit}`.trim(), csv: unit === "ms" ? `${head} s` : `${head} ${unit}`.trim(),
  });
  const figure = (head, name) => figureColumn(head, valueAt(name), unitOf(head));
  return makeTable({
    caption: chosen.length === 1 ? seriesName(chosen[0], WHOLE) : "What is shown", file: "history",
    rows, simulated: anySimulated(rows),
    columns: [
      commitColumn("commit", (row) => row.commit),
      { head: "date", get: (row) => DATA.commits[row.commit].date_utc, show: (row, value) => day(value), tight: true },
      { head: "subject", get: (row) => DATA.commits[row.commit].subject, show: (row, value) => long(value) },
      { head: "series", wide: true, hidden: chosen.length === 1, get: (row) => seriesName(row.series, WHOLE) },
      ...identityColumns, countColumn(),
      figure("median", "median_s"), figure("lower", "lower_s"), figure("upper", "upper_s"),
      ...quantileColumns(unitOf), figure("level", "levels_s"),
      { ...unitColumn, hidden: units.length === 1 }, simulatedColumn,
    ],
  });
}
