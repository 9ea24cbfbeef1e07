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

function buildHistory(root) {
  Object.assign(historyParts, {
    filters: el("div", { class: "filters" }), picker: el("div", { class: "picker" }),
    views: el("div", { class: "filters" }), charts: el("div"),
    changes: el("div"), table: el("div"),
    find: el("input", {
      type: "search", id: "find-series", autocomplete: "off",
      oninput: (event) => choose({ find: event.target.value, series: undefined }, { replace: true }),
    }),
  });
  put(root, historyParts.filters,
    el("div", { class: "columns" },
      el("div", { class: "narrow" },
        el("div", { class: "choice" }, el("label", { htmlFor: "find-series" }, "Find series"), historyParts.find),
        historyParts.picker),
      el("div", { class: "wide" }, historyParts.views, historyParts.charts, historyParts.changes)),
    historyParts.table);
}

function showHistory(choices) {
  if (!DATA.series.length) {
    historyParts.charts.replaceChildren(el("p", { class: "note" }, "There is no history yet: nothing was measured at a commit."));
    return;
  }
  const found = matching(DATA.series, choices);
  const chosen = chosenSeries(found, choices);
  const focused = document.activeElement?.id;
  historyParts.filters.replaceChildren(...facetSelects(DATA.series, choices, (name, value) => {
    choose({ [name]: value, series: keptSeries(chosen, { ...choices, [name]: value || undefined }), at: undefined });
  }).filter(Boolean));
  if (document.activeElement !== historyParts.find) historyParts.find.value = choices.find ?? "";
  drawPicker(found, chosen);
  drawViews(choices);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  drawHistoryCharts(chosen, choices);
  historyParts.changes.replaceChildren(changeList(chosen));
  historyParts.table.replaceChildren(historyTable(chosen));
}

// Those that are named; else the first that matters.
function chosenSeries(found, choices) {
  const named = idsOf(choices.series).map((id) => SERIES.get(id)).filter(Boolean);
  if (named.length) return named.slice(0, MOST_LINES);
  const first = firstSeries(found);
  return first ? [first] : [];
}

// What stays chosen when a filter changes.
function keptSeries(chosen, choices) {
  return matching(chosen, choices).map((one) => one.id).join(",") || undefined;
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
      onchange: (on) => choose({
        series: (on ? [...ids, series.id].slice(-MOST_LINES) : ids.filter((id) => id !== series.id)).join(",") || undefined,
        at: undefined,
      }),
    });
    box.querySelector("input").id = `series-${series.id}`;
    return box;
  });
  const left = found.length + chosen.filter((one) => !found.includes(one)).length - listed.length;
  historyParts.picker.replaceChildren(
    el("p", { class: "quiet", id: "found" }, `${plural(found.length, "series", "series")} found, ${chosen.length} shown`),
    el("div", { class: "boxes", role: "group", "aria-label": "Series shown" }, boxes),
    left > 0 ? el("p", { class: "quiet" }, `and ${left} more: filter or find them`) : "");
}

const shownSet = (choices) => new Set(choices.show === undefined ? SHOWN_AT_FIRST : choices.show.split("."));

function drawViews(choices) {
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
      value: choices.scale, onchange: (value) => choose({ scale: value }),
    }),
    selectOf({
      label: "Across", name: "across", options: [["", "commits"], ["date", "dates"]],
      value: choices.across, onchange: (value) => choose({ across: value }),
    }),
    el("fieldset", {}, el("legend", { class: "unseen" }, "Shown beside the median"), checks),
    buttonOf("Reset zoom", () => resetZoom(choices), { id: "reset-zoom" }));
}

function resetZoom(choices) {
  if (choices.at) {
    choose({ at: undefined });
    return;
  }
  for (const host of historyParts.charts.querySelectorAll(".chart")) {
    const all = host.layout?.meta?.all;
    if (host.data) Plotly.relayout(host, { ...(all ? { "xaxis.range": [...all] } : { "xaxis.autorange": true }), "yaxis.autorange": true });
  }
}

// One chart for each unit: what is not of one kind shares no axis.
function drawHistoryCharts(chosen, choices) {
  const units = distinct(chosen.map((one) => one.unit));
  const hosts = new Map([...historyParts.charts.children].map((host) => [host.dataset.chart, host]));
  const wanted = units.map((unit) => hosts.get(`history ${unit}`) ?? chartHost(`history ${unit}`));
  if (wanted.length !== hosts.size || wanted.some((host) => !host.isConnected)) {
    historyParts.charts.replaceChildren(...wanted);
  }
  units.forEach((unit, place) => {
    const of = chosen.filter((one) => one.unit === unit);
    drawChart(wanted[place], () => historyChart(of, chosen, choices));
  });
}

function historyChart(of, chosen, choices) {
  const on = shownSet(choices);
  const isDate = choices.across === "date";
  const x = isDate ? (commit) => DATA.commits[commit].date_utc : (commit) => commit;
  const seen = of.flatMap((series) => [...array(series.commits)]);
  const [from, to] = [Math.min(...ends(seen)), Math.max(...ends(seen))];
  const at = commitOf(choices.at);
  const margin = Math.max(0.5, 0.015 * (to - from));
  const all = isDate ? undefined : [from - margin, to + margin];
  const range = at < 0 || isDate ? all : [at - 30.5, at + 30.5];
  const traces = of.flatMap((series) => seriesTraces(series, {
    order: chosen.indexOf(series), alone: of.length === 1, x, hasMarks: hasMarks(range ?? [from, to]), shows: (name) => on.has(name),
  }));
  const { unit } = scaleOf(of[0]);
  const highest = Math.max(...traces.flatMap((trace) => [Math.max(...trace.y.filter(isNumber), 0)]));
  const budget = on.has("budget") && of[0].unit === "seconds"
    ? budgetTraces(of, highest, [x(from), x(to)]) : { traces: [], told: "" };
  const simulated = of.some((one) => one.simulated);
  const title = of.length === 1 ? plain(seriesName(of[0])) : plural(of.length, "series", "series");
  const names = of.map((one) => seriesName(one, WHOLE)).join("; ");
  return {
    traces: [...traces, ...budget.traces],
    words: `${simulated ? SIMULATED + ": " : ""}Chart of ${names} over commits. The table below has its figures.`,
    on: { plotly_click: openPoint, plotly_relayout: (change) => retick(change, historyParts.charts) },
    layout: {
      meta: { all },
      title: budget.told ? `${title}; ${budget.told}` : title, simulated, height: window.innerWidth < 640 ? 360 : 460,
      uirevision: `${of.map((one) => one.id)} ${choices.at ?? ""} ${choices.across ?? ""} ${choices.scale ?? ""}`,
      xaxis: axis("", isDate ? { type: "date" } : { range: [...range], ...commitTicks(...range, chartWidth()) }),
      yaxis: axis(plain(unit === "ms" ? "latency, ms" : unit), { type: choices.scale === "log" ? "log" : "linear" }),
      showlegend: of.length > 1 || budget.traces.length > 0,
      shapes: at < 0 ? [] : [{
        type: "line", x0: x(at), x1: x(at), yref: "paper", y0: 0, y1: 1, layer: "below",
        line: { color: colour("accent"), width: 1, dash: "dot" },
      }],
    },
  };
}

function ends(values) {
  return values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [0];
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
    const mode = hasMarks(found.range) ? "lines+markers" : "lines";
    const medians = host.data.map((trace, place) => place).filter((place) => host.data[place].meta?.series !== undefined);
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
  const found = chosen.flatMap((series) => series.changes.map((change) => ({ series, change })));
  const notes = distinct(chosen.map((one) => one.canary_note).filter(Boolean));
  const told = notes.map((note) => el("p", { class: "quiet" }, said(note)));
  if (!found.length) return el("div", {}, el("p", { class: "quiet" }, "No change is seen in what is shown."), told);
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
        el("a", { href: changeAddress(series, change), "aria-label": `Show ${commitName(place)} in the chart` }, "in the chart"),
        " ", badge(series.simulated));
    })), told);
}

function historyTable(chosen) {
  const rows = chosen.flatMap((series) => [...array(series.commits)].map((commit, place) => ({
    series, commit, place, simulated: series.simulated,
  })));
  rows.sort((one, other) => other.commit - one.commit);
  const units = distinct(chosen.map((one) => scaleOf(one).unit));
  const unit = units.length === 1 ? units[0] : "";
  const figure = (head, get) => ({
    head: `${head} ${unit}`.trim(), csv: unit === "ms" ? `${head} s` : `${head} ${unit}`.trim(), number: true, get,
    show: ({ series }, value) => (isNumber(value) ? digits(value * scaleOf(series).factor) : NONE),
  });
  const at = (share) => ({ series, place }) => quantile(series, place, share);
  const own = (name) => ({ series, place }) => array(series[name])[place];
  return makeTable({
    caption: chosen.length === 1 ? seriesName(chosen[0], WHOLE) : "What is shown", file: "history", rows, simulated: anySimulated(rows),
    columns: [
      commitColumn("commit", (row) => row.commit),
      { head: "date", get: (row) => DATA.commits[row.commit].date_utc, show: (row, value) => day(value), tight: true },
      { head: "subject", get: (row) => DATA.commits[row.commit].subject, show: (row, value) => long(value) },
      { head: "series", wide: true, hidden: chosen.length === 1, get: (row) => seriesName(row.series, WHOLE) },
      { head: "n", number: true, get: own("counts"), show: (row, value) => bare(value) },
      figure("median", own("median_s")), figure("lower", own("lower_s")), figure("upper", own("upper_s")),
      figure("min", at(0)), figure("p50", at(0.5)), figure("p90", at(0.9)), figure("p95", at(0.95)),
      figure("p99", at(0.99)), figure("max", at(1)), figure("level", own("levels_s")),
      ...(units.length > 1 ? [{ head: "unit", get: (row) => row.series.unit, show: (row) => scaleOf(row.series).unit }] : []),
      simulatedColumn,
    ],
  });
}
