// How one series' samples lie at a commit: raw where they are kept, else by the sketch.

// {values, count, isRaw, process}: sorted values for an ECDF, in the series' unit.
function samplesAt(series, place) {
  const raw = series.samples.find((one) => one.at === place);
  const { factor } = scaleOf(series);
  if (raw) {
    const values = [...array(raw.latency_s)].map((value) => value * factor);
    return { values, count: raw.count, isRaw: true, process: raw.process ? [...array(raw.process)] : null };
  }
  const values = FACTS.quantiles.map((one) => quantile(series, place, one) * factor);
  const hasKept = series.source !== "asv" || values.every(isNumber);
  return { values, count: array(series.counts)[place], isRaw: false, hasKept, process: null };
}

function samplesWords(found) {
  if (!found.isRaw && !found.hasKept) {
    const known = found.values.filter(isNumber).length;
    if (!known) return "it failed: there is no figure";
    const kept = known > 1 ? "the median and the quartiles" : "the figure alone";
    return `asv kept no samples; of n = ${bare(found.count)} it kept ${kept}`;
  }
  if (!found.isRaw) {
    return `from a sketch of ${QS} quantiles of n = ${bare(found.count)}; raw samples are kept for the newest `
      + `${FACTS.newest} commits and around changes`;
  }
  const kept = found.values.length;
  return kept < found.count ? `${kept} of ${found.count} raw samples, every n-th` : `all ${kept} raw samples`;
}

// Sides: [{series, place, name, paint}], drawn over each other.
function ecdfTraces(sides) {
  return sides.map(({ found, name, paint }) => {
    const known = sketchPoints(found);
    return {
      type: "scatter", mode: found.isRaw ? "lines" : "lines+markers", name,
      x: known.map(([value]) => value), y: known.map(([, share]) => share),
      line: { shape: found.isRaw ? "hv" : "linear", color: paint, width: 2, dash: found.isRaw ? "solid" : "dot" },
      hovertemplate: "%{x:.5~g}: %{y:.1%}<extra></extra>",
    };
  });
}

function sketchPoints(found) {
  if (!found.isRaw) {
    return found.values.map((value, place) => [value, FACTS.quantiles[place]]).filter(([value]) => isNumber(value));
  }
  const sorted = [...found.values].sort((one, other) => one - other);
  return sorted.map((value, place) => [value, (place + 1) / sorted.length]);
}

function histogramTraces(sides) {
  return sides.map(({ found, name, paint }) => (found.isRaw
    ? rawHistogram(found, name, paint) : sketchHistogram(found, name, paint)));
}

const BINS = 40;

function rawHistogram(found, name, paint) {
  const [low, high] = ends(found.values);
  const width = (high - low) / BINS || Math.abs(low) * 1e-3 || 1;
  const counts = new Array(BINS).fill(0);
  for (const value of found.values) counts[Math.min(BINS - 1, Math.floor((value - low) / width))] += 1;
  return {
    type: "bar", name, x: counts.map((count, place) => low + (place + 0.5) * width), width,
    y: counts.map((count) => count / found.values.length / width), marker: { color: faded(paint, 0.6) },
    customdata: counts.map((count, place) =>
      `${digits(low + place * width, 5)} to ${digits(low + (place + 1) * width, 5)}: ${count} samples`),
    hovertemplate: HOVER,
  };
}

// Between two quantiles lies the share that they are apart.
function sketchHistogram(found, name, paint) {
  const bars = [];
  for (let place = 1; place < QS; place += 1) {
    const [from, to] = [found.values[place - 1], found.values[place]];
    const part = FACTS.quantiles[place] - FACTS.quantiles[place - 1];
    if (isNumber(from) && to > from) bars.push({ from, to, part });
  }
  return {
    type: "bar", name, x: bars.map(({ from, to }) => (from + to) / 2),
    width: bars.map(({ from, to }) => to - from),
    y: bars.map(({ from, to, part }) => part / (to - from)),
    marker: { color: faded(paint, 0.6), line: { color: paint, width: 1 } },
    customdata: bars.map(({ from, to, part }) =>
      `${digits(from, 5)} to ${digits(to, 5)}: ${share(part)} of the samples`),
    hovertemplate: HOVER,
  };
}

// The two charts beside each other; sides: [{series, place, name}].
function drawDistributions(root, sides) {
  const ecdf = chartHost("ecdf");
  const histogram = chartHost("histogram");
  const found = sides.map((side) => ({ ...side, found: samplesAt(side.series, side.place) }));
  root.replaceChildren(
    el("p", { class: "quiet" }, found.map((side) =>
      el("span", { class: "source" }, said(side.name), `: ${samplesWords(side.found)}. `))));
  // Of one figure there is nothing to draw.
  if (!found.some((side) => side.found.values.filter(isNumber).length > 1)) return;
  put(root, el("div", { class: "pair" }, ecdf, histogram));
  const { unit } = scaleOf(sides[0].series);
  const simulated = sides.some(({ series }) => series.simulated);
  const build = (title, traces, yaxis) => () => ({
    traces: traces(found.map((side, order) => ({ ...side, name: plain(side.name), paint: seriesColour(order) }))),
    words: marked(simulated, `${title} of ${sides.map((side) => side.name).join(" and ")}`),
    layout: {
      title, simulated, height: 330, xaxis: axis(plain(unit)), yaxis, barmode: "overlay",
      showlegend: sides.length > 1,
    },
  });
  drawChart(ecdf, build("ECDF", ecdfTraces, axis("share of samples", { tickformat: ".0%", range: [0, 1.02] })));
  drawChart(histogram, build("Histogram (density)", histogramTraces, axis(plain(`per ${unit}`))));
}

// Raw samples in the order measured, by process.
function drawOrder(host, series, place) {
  const found = samplesAt(series, place);
  host.hidden = !found.isRaw;
  if (!found.isRaw) return;
  const { unit } = scaleOf(series);
  drawChart(host, () => {
    // Of too many every n-th is kept: the second of them is the one after n.
    const step = Math.max(1, Math.ceil(found.count / found.values.length));
    const groups = new Map();
    found.values.forEach((value, order) => {
      const key = found.process ? found.process[order] : 0;
      if (!groups.has(key)) groups.set(key, { x: [], y: [] });
      groups.get(key).x.push(1 + step * order);
      groups.get(key).y.push(value);
    });
    const traces = [...groups].map(([key, { x, y }], order) => ({
      type: "scatter", mode: "markers", x, y, name: `process ${key}`,
      marker: { size: 4, color: seriesColour(order) },
      hovertemplate: `%{x}: %{y:.5~g} ${plain(unit)}<extra>process ${key}</extra>`,
    }));
    return {
      traces, words: marked(series.simulated, `Samples of ${seriesName(series, WHOLE)} in the order measured`),
      layout: {
        title: "Samples in the order measured", simulated: series.simulated, height: 300,
        xaxis: axis(step > 1 ? `sample, one of every ${step} shown` : "sample"), yaxis: axis(plain(unit)),
        showlegend: traces.length > 1 && traces.length < 13,
      },
    };
  });
}

// What a run's readings are called, and their units.
const READINGS = [
  ["sm_clock_mhz", "SM clock, MHz"], ["cpu_clock_mhz", "CPU clock, MHz"], ["power_w", "power, W"],
  ["temperature_c", "temperature, °C"], ["others_busy", "others busy, share"],
];

// Medians of stretches of what was measured, above the machine's state at that time.
function drawRun(host, run) {
  drawChart(host, () => {
    const known = READINGS.filter(([name]) => run.readings[name] && array(run.readings[name]).some(isNumber));
    const hasBlocks = run.blocks.length > 0;
    const rows = known.length + (hasBlocks ? 1 : 0);
    const layout = {};
    const traces = [];
    const height = 150 * rows + 110;
    const domain = (row) => [1 - (row + 1) / rows + (row + 1 < rows ? 0.05 : 0), 1 - row / rows];
    const yaxis = (row) => (row ? `yaxis${row + 1}` : "yaxis");
    let row = 0;
    if (hasBlocks) {
      traces.push(...blockTraces(run));
      layout[yaxis(row)] = axis("median, ms", { domain: domain(row) });
      row += 1;
    }
    known.forEach(([name, title], order) => {
      traces.push({
        type: "scatter", mode: "lines", x: [...array(run.readings.time_s)], y: [...array(run.readings[name])],
        yaxis: `y${row ? row + 1 : ""}`, name: title, line: { color: seriesColour(order + 1), width: 1.4 },
        hovertemplate: `%{x:.1f} s: %{y:.5~g}<extra>${title}</extra>`, showlegend: false,
      });
      const range = flatRange(array(run.readings[name]));
      layout[yaxis(row)] = axis(title.replace(", ", "<br>"), { domain: domain(row), range });
      row += 1;
    });
    const bottom = `y${rows > 1 ? rows : ""}`;
    return {
      traces, words: marked(run.simulated, `Medians, clocks, power and temperature over the time of ${run.record_id}`),
      layout: {
        title: hasBlocks ? "Medians beside the machine's state" : "The machine's state",
        simulated: run.simulated, height, ...layout,
        xaxis: axis("seconds since the first reading", { anchor: bottom }), showlegend: hasBlocks,
        legend: { orientation: "h", y: -60 / height, yanchor: "top", x: 0 },
      },
    };
  });
}

// What does not move is drawn as flat as it is.
function flatRange(values) {
  const [low, high] = ends([...values].filter(isNumber));
  return high - low < 0.01 * Math.abs(high) ? [0.99 * low, 1.01 * high] : undefined;
}

// A stretch is a line as long as it took; one that does not count is dotted.
function blockTraces(run) {
  const groups = new Map();
  for (const block of run.blocks) {
    if (!isNumber(block.median_s)) continue;
    const key = `${block.rejected ? 1 : 0}${block.series}`;
    if (!groups.has(key)) groups.set(key, { block, x: [], y: [], told: [] });
    const group = groups.get(key);
    const why = block.rejected ? `rejected: ${plain(block.rejected)}` : "";
    const words = lines(plain(block.series), `median ${ms(block.median_s)} ms`, why);
    group.x.push(block.started_s, block.ended_s, null);
    group.y.push(block.median_s * 1e3, block.median_s * 1e3, null);
    group.told.push(words, words, "");
  }
  return [...groups.values()].map(({ block, x, y, told }, order) => ({
    type: "scatter", mode: "lines+markers", x, y, customdata: told, hovertemplate: HOVER,
    name: plain(block.rejected ? `${block.series}, rejected` : block.series),
    line: { color: seriesColour(order), width: 3, dash: block.rejected ? "dot" : "solid" },
    marker: { size: 4, symbol: block.rejected ? "x" : "circle" },
  }));
}
