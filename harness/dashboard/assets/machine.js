// Energy, what the gate was found to catch, and in what environments differ.

sections.machine = {
  isRebuilt: true,
  show(root, subject, choices) {
    keepingFocus(() => {
      root.replaceChildren();
      showEnergy(root, choices);
      showNoise(root);
      showEnvironments(root, choices);
    });
  },
};

const hasEnergy = (series) => array(series.energy_j).some(isNumber);

function showEnergy(root, choices) {
  put(root, el("h3", {}, "Energy"));
  const known = DATA.series.filter(hasEnergy);
  if (!known.length) {
    put(root, el("p", { class: "note" }, "No energy was read: it needs a GPU whose counter the harness can read."));
    return;
  }
  const found = matching(known, choices);
  const wholes = found.filter((one) => one.component === "pipeline");
  const chosen = (wholes.length ? wholes : found).slice(0, 8);
  const [history, bars] = [chartHost("energy history"), chartHost("energy bars")];
  const selects = facetSelects(known, choices, (name, value) => choose({ [name]: value }));
  put(root, el("div", { class: "filters" }, selects),
    el("div", { class: "pair" }, history, bars), energyTable(found));
  if (!chosen.length) return;
  drawEnergyHistory(history, chosen, (wholes.length ? wholes : found).length);
  drawEnergyBars(bars, newestEnergy(found));
}

function drawEnergyHistory(host, chosen, all) {
  drawChart(host, () => {
    const simulated = anySimulated(chosen);
    const nameOf = namerOf(chosen);
    const count = chosen.length < all ? `: ${chosen.length} of ${all} series, filter for others` : "";
    const [from, to] = ends(chosen.flatMap((series) => [...array(series.commits)]));
    return {
      traces: chosen.map((series, order) => {
        const places = drawnPlaces(series).filter((place) => place < 0 || isNumber(array(series.energy_j)[place]));
        const commits = array(series.commits);
        return {
          type: "scatter", mode: isHistory(series) ? "lines+markers" : "markers", name: plain(nameOf(series)),
          x: places.map((place) => (place < 0 ? null : commits[place])),
          y: places.map((place) => (place < 0 ? null : array(series.energy_j)[place])),
          customdata: places.map((place) => (place < 0 ? "" : lines(
            `<b>${commitName(commits[place])}</b> ${plain(DATA.commits[commits[place]].subject.slice(0, 80))}`,
            `${digits(array(series.energy_j)[place])} J`, plain(seriesName(series, WHOLE)),
            series.simulated ? SIMULATED : ""))),
          hovertemplate: HOVER, line: { color: seriesColour(order), width: 1.6 }, marker: { size: 4 },
        };
      }),
      words: marked(simulated, "Energy of an inference over commits"),
      layout: {
        title: `Over commits${count}`, simulated, height: 400, showlegend: true, yaxis: axis("J an inference"),
        xaxis: axis("", commitTicks(from, to, Math.max(200, host.clientWidth - 80))),
      },
    };
  });
}

// The newest figure of each series.
function newestEnergy(found) {
  return found.map((series) => {
    const values = array(series.energy_j);
    let place = values.length - 1;
    while (place >= 0 && !isNumber(values[place])) place -= 1;
    const median = series.unit === "seconds" ? array(series.median_s)[place] : null;
    return {
      series, energy: values[place], commit: array(series.commits)[place], simulated: series.simulated,
      median_s: median, power: median > 0 ? values[place] / median : null,
    };
  });
}

const MOST_BARS = 16;

function drawEnergyBars(host, all) {
  const rows = [...all].sort((one, other) => other.energy - one.energy).slice(0, MOST_BARS).reverse();
  const isMany = differs(rows.map((row) => row.series), "environment");
  const told = (text) => plain(cut(text, host.clientWidth < NARROW ? 30 : 56));
  drawChart(host, () => ({
    traces: [{
      type: "bar", orientation: "h", x: rows.map((row) => row.energy), y: rows.map((row, place) => place),
      marker: { color: colour("c0") }, hovertemplate: HOVER,
      customdata: rows.map((row) => lines(
        plain(seriesName(row.series, WHOLE)), `${digits(row.energy)} J at ${commitName(row.commit)}`,
        row.simulated ? SIMULATED : "")),
    }],
    words: marked(anySimulated(rows), "The newest energy of each series"),
    layout: {
      title: "Newest of each series", simulated: anySimulated(rows),
      height: Math.max(260, (isMany ? 38 : 26) * rows.length + 120), xaxis: axis("J an inference"),
      yaxis: axis("", {
        tickvals: rows.map((row, place) => place),
        ticktext: rows.map(({ series }) =>
          lines(told(ownNameAndHow(series)), isMany ? told(environmentLabel(series.environment)) : "")),
      }),
    },
  }));
}

// The ends tell names apart as well as the beginnings.
function cut(text, most) {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(half + 1 - most)}`;
}

function energyTable(found) {
  const rows = newestEnergy(found);
  return makeTable({
    caption: "Energy of an inference, the newest of each series", file: "energy", rows, simulated: anySimulated(rows),
    empty: "No series with energy fits these filters.",
    columns: [
      {
        head: "series", wide: true, get: (row) => seriesName(row.series),
        show: (row, name) => el("a", { href: address("history", "", { series: row.series.id }) }, said(name)),
      },
      ...identityColumns,
      { head: "energy J", number: true, get: (row) => row.energy, show: (row, value) => digits(value) },
      timeColumn("median", (row) => row.median_s),
      {
        head: "mean power W", number: true, get: (row) => row.power, title: "energy over the median",
        show: (row, value) => digits(value, 3),
      },
      commitColumn("commit", (row) => row.commit), simulatedColumn,
    ],
  });
}

function showNoise(root) {
  put(root, el("h3", {}, "The gate's calibration"));
  if (!DATA.noise.length) {
    put(root, el("p", { class: "note" }, "No machine is calibrated: ",
      el("code", {}, "harness noise voice_conversion"), " finds what its gate would catch."));
    return;
  }
  const rows = DATA.noise;
  put(root, makeTable({
    caption: "What the gate catches", file: "noise", rows, simulated: anySimulated(rows),
    columns: [
      { head: "pipeline", get: (row) => row.pipeline }, { head: "series", get: (row) => row.series },
      {
        ...shareColumn("smallest caught", (row) => row.smallest_caught),
        show: (row, value) => (isNumber(value) ? `+${share(value)}` : "none of those tried"),
      },
      shareColumn("margin", (row) => row.margin),
      { head: "false alarms", number: true, get: (row) => row.false_alarms },
      { head: "of trials", number: true, get: (row) => row.trials },
      {
        ...shareColumn("at most", (row) => row.false_alarm_upper), csv: "false alarm rate at most",
        title: "the rate of false alarms, 95 % confidence",
      },
      { ...shareColumn("SD within", (row) => row.within_sd), csv: "within sd share", title: "within a process" },
      { ...shareColumn("SD between", (row) => row.process_sd), csv: "process sd share", title: "between processes" },
      { head: "environment", get: noiseEnvironment },
      { head: "measured", get: (row) => row.created_utc, show: (row, value) => minute(value) }, simulatedColumn,
    ],
  }));
}

const shareColumn = (head, get) => ({
  head, csv: `${head} share`, number: true, get, show: (row, value) => share(value),
});

const noiseEnvironment = ({ environment, fingerprint }) =>
  (environment === null ? `fingerprint ${fingerprint.slice(0, 12)}` : environmentLabel(environment));

function showEnvironments(root, choices) {
  put(root, el("h3", {}, "Environments"));
  const rows = DATA.environments;
  if (!rows.length) {
    put(root, el("p", { class: "note" }, "No environment is known."));
    return;
  }
  put(root, el("p", { class: "quiet" }, "Figures of two environments are never one history."), makeTable({
    caption: "Where figures come from", file: "environments", rows, simulated: anySimulated(rows),
    columns: [
      { head: "environment", get: (row) => row.label }, { head: "machine", get: (row) => row.machine },
      { head: "fingerprint", get: (row) => row.fingerprint, show: (row, value) => el("code", {}, value.slice(0, 16)) },
      { head: "series", number: true, get: (row) => DATA.series.filter((one) => one.environment === row.id).length },
      simulatedColumn,
    ],
  }), differencesTable(choices), factsTable());
}

// Two environments at a time.
function differencesTable(choices) {
  if (DATA.environments.length < 2) return null;
  const pairs = distinct(DATA.differences.map((one) => `${one.first},${one.second}`));
  const pair = pairs.includes(choices.pair) ? choices.pair : pairs[0];
  const rows = DATA.differences.filter((one) => `${one.first},${one.second}` === pair).map((one) => ({
    ...one, simulated: [one.first, one.second].some((id) => ENVIRONMENTS.get(id)?.simulated),
  }));
  const labels = (ids) => ids.split(",").map((id) => markedLabel(ENVIRONMENTS.get(Number(id))));
  const select = pairs.length > 1 ? selectOf({
    label: "Two environments", name: "pair", value: pair,
    options: pairs.map((ids) => [ids, labels(ids).join(" and ")]),
    onchange: (value) => choose({ pair: value }),
  }) : null;
  const [first, second] = pair ? labels(pair) : ["first", "second"];
  return [select, makeTable({
    caption: "In what two environments differ", file: "environment-differences", rows,
    simulated: anySimulated(rows), empty: "In nothing that is known.",
    columns: [
      { head: "fact", get: (row) => row.name, show: (row, value) => el("code", {}, value) },
      { head: first, get: (row) => row.of_first, show: (row, value) => said(value || "not told") },
      { head: second, get: (row) => row.of_second, show: (row, value) => said(value || "not told") },
      simulatedColumn,
    ],
  })];
}

// Facts of a machine are of a column, not of a row: its heading says whether its times are made up.
function markedLabel(environment) {
  if (!environment) return "unknown environment";
  return environment.simulated ? `${environment.label} (${SIMULATED})` : environment.label;
}

const factOf = (environment, name) => environment.facts[name] ?? null;

// A column for each environment.
function factsTable() {
  const all = DATA.environments;
  const names = distinct(all.flatMap((one) => Object.keys(one.facts))).sort();
  const rows = names.map((name) => ({ name, simulated: all.some((one) => one.simulated) }));
  return makeTable({
    caption: "What a latency may depend on", file: "environment-facts", rows, simulated: anySimulated(rows),
    empty: "No fact is known.",
    columns: [
      { head: "fact", get: (row) => row.name, show: (row, value) => el("code", {}, value) },
      ...all.map((one) => ({
        head: markedLabel(one), get: (row) => factOf(one, row.name),
        show: (row, value) => (value === null ? NONE : long(value)),
      })),
      simulatedColumn,
    ],
  });
}
