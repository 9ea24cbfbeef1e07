// What a precision costs and gives, and how near a component is to what its device can do.

sections.precision = {
  isRebuilt: true,
  show(root, subject, choices) {
    keepingFocus(() => {
      root.replaceChildren();
      showTrades(root, choices);
      showRoofline(root, choices);
    });
  },
};

const SHAPES = { fp32: "circle", tf32: "hexagon", fp16: "square", int8: "triangle-up", bf16: "diamond" };
const OTHER_SHAPES = ["star", "cross", "pentagon", "x"];

function shapeOf(precision, all) {
  const others = all.filter((one) => !(one in SHAPES));
  return SHAPES[precision] ?? OTHER_SHAPES[others.indexOf(precision) % OTHER_SHAPES.length];
}

const CHOSEN_BY = { pipeline: "Pipeline", size: "Size", component: "Component", precision: "Precision" };

// The selects of a part of this section: the values that its rows have, and the rows that fit.
function narrowed(rows, names, choices, prefix, firsts = []) {
  let kept = rows;
  const selects = [...names, "environment"].map((name) => {
    const values = distinct(rows.map((row) => row[name]));
    if (values.length < 2) return null;
    const key = prefix + name;
    // One size on one machine at a time, unless somebody asks for all.
    const value = choices[key] ?? (firsts.includes(name) ? String(commonest(kept, name)) : "");
    if (value !== "" && value !== "all") kept = kept.filter((row) => String(row[name]) === value);
    const told = (one) => (name === "environment" ? environmentLabel(one) : one);
    return selectOf({
      label: CHOSEN_BY[name] ?? "Environment", name: key, value: value || "all",
      options: [["all", "all"], ...values.map((one) => [one, told(one)])],
      onchange: (to) => choose({ [key]: to }),
    });
  });
  return { kept, controls: el("div", { class: "filters" }, selects) };
}

// What most rows have, of those that tell the most.
function commonest(rows, name) {
  const known = rows.filter((row) => row.snr_db !== null);
  const counts = new Map();
  for (const row of known.length ? known : rows) counts.set(row[name], (counts.get(row[name]) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0];
}

function showTrades(root, choices) {
  put(root, el("h3", {}, "Speed against accuracy"));
  if (!DATA.trades.length) {
    put(root, el("p", { class: "note" }, "No pipeline was measured together with its accuracy."));
    return;
  }
  const names = ["pipeline", "size"];
  const { kept, controls } = narrowed(DATA.trades, names, choices, "t-", [...names, "environment"]);
  const host = chartHost("trades");
  const unknown = kept.filter((row) => !isNumber(row.snr_db)).length;
  put(root, controls, host,
    unknown
      ? el("p", { class: "quiet" },
        `Of ${unknown} of ${plural(kept.length, "variant")} no accuracy is known: the table has them.`)
      : null,
    hasOtherRuns(kept)
      ? el("p", { class: "note" },
        "Not all of them were measured in one run. Times of two runs are not to be compared: the machine may "
        + "have been faster in one of them. The table says which run each is of.")
      : null,
    tradesTable(kept));
  drawTrades(host, kept);
}

// What is measured together may be compared: in one run, at one size.
const togetherOf = (row) => JSON.stringify([row.record_id, row.size]);

function hasOtherRuns(rows) {
  const alike = (row) => JSON.stringify([row.environment, row.pipeline, row.size]);
  return distinct(rows.map(togetherOf)).length > distinct(rows.map(alike)).length;
}

const runName = (row) => (row.created_utc ? `${minute(row.created_utc)} UTC` : NONE);

// The time over that of the fastest of its run; nothing where it was measured alone beside others.
function ratiosToFastest(rows) {
  const found = new Map();
  for (const together of groupedBy(rows, togetherOf)) {
    const fastest = Math.min(...together.map((row) => row.median_s));
    const isAlone = together.length < 2 && rows.length > 1;
    for (const row of together) found.set(row, isAlone ? null : row.median_s / fastest);
  }
  return found;
}

const hasFloor = (one) => isNumber(one.snr_db) && isNumber(one.min_snr_db);
const isUnder = (one) => hasFloor(one) && one.snr_db < one.min_snr_db;

function accuracyOf(one) {
  if (!hasFloor(one)) return "";
  return isUnder(one) ? "under the floor" : "kept";
}

function drawTrades(host, rows) {
  drawChart(host, () => {
    const precisions = distinct(rows.map((row) => row.precision));
    const known = rows.filter((row) => isNumber(row.snr_db));
    const floors = distinct(rows.map((row) => row.min_snr_db).filter(isNumber));
    const range = {
      x: [0, 1.08e3 * Math.max(...rows.map((row) => row.median_s))],
      y: roomy([...known.map((row) => row.snr_db), ...floors]),
    };
    const texts = textsOf(host, known, range, (row) => [row.median_s * 1e3, row.snr_db, row.variant]);
    const traces = precisions.map((precision, order) => {
      const own = known.filter((row) => row.precision === precision);
      return {
        type: "scatter", mode: "markers+text", name: plain(precision), x: own.map((row) => row.median_s * 1e3),
        y: own.map((row) => row.snr_db), text: own.map((row) => texts.get(row).text),
        textposition: own.map((row) => texts.get(row).place),
        textfont: { size: 11 }, cliponaxis: false, customdata: own.map(tradeHover), hovertemplate: HOVER,
        marker: {
          size: 13, symbol: shapeOf(precision, precisions), color: seriesColour(order),
          line: { width: 2, color: own.map((row) => colour(isUnder(row) ? "bad" : "panel")) },
        },
      };
    }).filter((trace) => trace.x.length);
    const simulated = anySimulated(rows);
    return {
      traces,
      words: marked(simulated, "Median latency against signal-to-noise ratio, by precision. "
        + "The table has the figures."),
      layout: {
        title: "Left is faster, up is more accurate", simulated, height: TALL, showlegend: true,
        xaxis: axis("median, ms", { range: range.x }), yaxis: axis("SNR against PyTorch fp32, dB", { range: range.y }),
        shapes: floors.map((floor) => ({
          type: "line", xref: "paper", x0: 0, x1: 1, y0: floor, y1: floor, layer: "below",
          line: { color: colour("bad"), width: 1, dash: "dash" },
        })),
        annotations: floors.map((floor) => ({
          text: `floor ${bare(floor)} dB`, xref: "paper", x: 0, xanchor: "left", y: floor, yanchor: "bottom",
          showarrow: false, font: { color: colour("bad"), size: 11 },
        })),
      },
    };
  });
}

const TALL = 440;

// Where each row's text goes in a chart as wide as its host; of gives x and y in the axes' terms.
function textsOf(host, rows, range, of) {
  const within = (value, [low, high]) => (value - low) / (high - low);
  const points = rows.map((row) => {
    const [x, y, text] = of(row);
    return { x: within(x, range.x), y: within(y, range.y), text };
  });
  const placed = placedTexts(points, Math.max(120, host.clientWidth - 90), TALL - 150);
  return new Map(rows.map((row, place) => [row, placed[place]]));
}

function tradeHover(row) {
  return lines(
    `<b>${plain(row.variant)}</b>, ${plain(row.size)}`, plain(environmentLabel(row.environment)),
    `median ${ms(row.median_s)} ms, SNR ${digits(row.snr_db, 4)} dB`,
    isUnder(row) ? `<b>under the floor of ${bare(row.min_snr_db)} dB</b>` : "",
    isNumber(row.energy_j) ? `${digits(row.energy_j, 3)} J an inference` : "",
    isNumber(row.size_bytes) ? `${digits(row.size_bytes / 1e6, 4)} MB on disk` : "",
    `run of ${runName(row)}`,
    row.simulated ? SIMULATED : "");
}

function tradesTable(rows) {
  const ratios = ratiosToFastest(rows);
  return makeTable({
    caption: "What each variant costs and gives", file: "precision", rows, simulated: anySimulated(rows),
    columns: [
      { head: "pipeline", get: (row) => row.pipeline },
      { head: "variant", get: (row) => row.variant },
      { head: "precision", get: (row) => row.precision },
      { head: "size", get: (row) => row.size },
      timeColumn("median", (row) => row.median_s),
      {
        head: "of the fastest", number: true, get: (row) => ratios.get(row),
        title: "of those of the same run and size: two runs are not to be compared",
        show: (row, value) => digits(value, 3),
      },
      { head: "SNR dB", number: true, get: (row) => row.snr_db, show: (row, value) => digits(value, 4) },
      { head: "floor dB", number: true, get: (row) => row.min_snr_db, show: (row, value) => bare(value) },
      {
        head: "accuracy", get: accuracyOf,
        show: (row, value) => el("span", { class: isUnder(row) ? "bad" : "" }, value || NONE),
      },
      { head: "energy J", number: true, get: (row) => row.energy_j, show: (row, value) => digits(value, 3) },
      {
        head: "disk MB", csv: "disk bytes", number: true, get: (row) => row.size_bytes,
        show: (row, value) => (isNumber(value) ? digits(value / 1e6, 4) : NONE),
      },
      { head: "run", csv: "record", get: (row) => row.record_id, show: (row) => runName(row), tight: true },
      { head: "environment", get: (row) => environmentLabel(row.environment) },
      commitColumn("commit", (row) => row.commit ?? -1),
      simulatedColumn,
    ],
  });
}

function showRoofline(root, choices) {
  put(root, el("h3", {}, "Roofline"));
  if (!DATA.roofline.length) {
    put(root, el("p", { class: "note" }, "No component's work and its device's measured ceilings are both known."));
    return;
  }
  const names = ["component", "precision", "size"];
  const { kept, controls } = narrowed(DATA.roofline, names, choices, "r-", ["size", "environment"]);
  const host = chartHost("roofline");
  put(root, controls, host, rooflineTable(kept));
  drawRoofline(host, kept);
}

function drawRoofline(host, rows) {
  drawChart(host, () => {
    const known = rows.filter((row) => row.macs > 0 && row.moved_bytes > 0 && row.median_s > 0);
    const intensity = (row) => Math.log10(row.macs / row.moved_bytes);
    const speed = (row) => Math.log10(row.macs / row.median_s);
    const roofs = new Map();
    for (const row of known) {
      if (row.macs_per_s > 0 && row.bytes_per_s > 0) roofs.set(roofKey(row), row);
    }
    const tops = [...roofs.values()].map((row) => Math.log10(row.macs_per_s));
    const range = { x: roomy(known.map(intensity), 0.15), y: roomy([...known.map(speed), ...tops]) };
    const precisions = distinct(rows.map((row) => row.precision));
    const paint = (precision) => seriesColour(precisions.indexOf(precision));
    const traces = [...roofs.values()].map((row) =>
      roofTrace(row, 10 ** range.x[0], 10 ** range.x[1], paint(row.precision), differs(rows, "environment")));
    // Each component is named once in a precision, however many variants there are of it.
    const named = new Map(known.map((row) => [`${row.precision} ${row.component}`, row]));
    const texts = textsOf(host, known, range, (row) => [
      intensity(row), speed(row), named.get(`${row.precision} ${row.component}`) === row ? row.component : ""]);
    for (const precision of precisions) {
      const own = known.filter((row) => row.precision === precision);
      traces.push({
        type: "scatter", mode: "markers+text", name: plain(precision), x: own.map((row) => row.macs / row.moved_bytes),
        y: own.map((row) => row.macs / row.median_s), text: own.map((row) => texts.get(row).text),
        textposition: own.map((row) => texts.get(row).place), textfont: { size: 11 },
        customdata: own.map(roofHover), hovertemplate: HOVER,
        marker: { size: 11, symbol: shapeOf(precision, precisions), color: paint(precision) },
      });
    }
    const simulated = anySimulated(rows);
    const log = (title, of) => axis(title, { type: "log", exponentformat: "power", dtick: 1, range: of });
    return {
      traces,
      words: marked(simulated, "Work done in a second against work for each byte moved, with the measured ceilings. "
        + "The table has the figures."),
      layout: {
        title: "Work over time, under the measured ceilings", simulated, height: TALL, showlegend: true,
        xaxis: log("multiply-accumulates per byte moved", range.x),
        yaxis: log("multiply-accumulates per second", range.y),
      },
    };
  });
}

// Ceilings that were measured twice, and lie on each other in the chart, are one.
function roofKey(row) {
  const rounded = (value) => Math.round(50 * Math.log10(value));
  return `${row.environment} ${row.precision} ${rounded(row.macs_per_s)} ${rounded(row.bytes_per_s)}`;
}

function roofTrace(row, from, to, paint, hasPlace) {
  const ridge = row.macs_per_s / row.bytes_per_s;
  const x = [from, ridge, to].filter((value, place) => place !== 1 || (ridge > from && ridge < to));
  return {
    type: "scatter", mode: "lines", x, y: x.map((value) => Math.min(row.macs_per_s, value * row.bytes_per_s)),
    name: plain(`${row.precision} ceiling${hasPlace ? ` of ${environmentLabel(row.environment)}` : ""}`),
    line: { color: paint, width: 1.5, dash: "dash" }, hoverinfo: "name",
  };
}

function roofHover(row) {
  return lines(
    `<b>${plain(row.component)}</b>, ${plain(row.variant)}, ${plain(row.size)}`,
    plain(environmentLabel(row.environment)),
    `median ${ms(row.median_s)} ms; ${ms(row.least_s)} ms at the least, bound by ${plain(row.bound)}`,
    `${share(row.least_s / row.median_s)} of what is possible`,
    `${amount(row.macs / row.median_s)}MAC/s, ${digits(row.macs / row.moved_bytes, 3)} MAC per byte`,
    row.simulated ? SIMULATED : "");
}

function rooflineTable(rows) {
  return makeTable({
    caption: "Components under their ceilings", file: "roofline", rows, simulated: anySimulated(rows),
    columns: [
      { head: "component", get: (row) => row.component }, { head: "variant", get: (row) => row.variant },
      { head: "size", get: (row) => row.size },
      timeColumn("median", (row) => row.median_s),
      timeColumn("at the least", (row) => row.least_s, "what the measured ceilings would need"),
      {
        head: "reached", csv: "share reached", number: true, get: (row) => row.least_s / row.median_s,
        show: (row, value) => share(value),
      },
      { head: "bound by", get: (row) => row.bound },
      { head: "MAC", number: true, get: (row) => row.macs, show: (row, value) => amount(value) },
      { head: "bytes", number: true, get: (row) => row.moved_bytes, show: (row, value) => amount(value) },
      {
        head: "MAC/byte", number: true, get: (row) => row.macs / row.moved_bytes,
        show: (row, value) => digits(value, 3),
      },
      {
        head: "MAC/s", number: true, get: (row) => row.macs / row.median_s,
        show: (row, value) => amount(value),
      },
      { head: "environment", get: (row) => environmentLabel(row.environment) },
      commitColumn("commit", (row) => row.commit ?? -1), simulatedColumn,
    ],
  });
}
