// What series are called. Two that differ in anything have two names.

// What was measured outside any history (a side of an A/B, a run by hand) is points without a line.
const SINGLE = "single runs";
const isHistory = (series) => series.of_history !== false;

function ownName(series) {
  const parts = [series.component, series.variant, series.size];
  if (series.mode && series.mode !== "hot") parts.push(series.mode);
  if (series.streams > 1) parts.push(plural(series.streams, "stream"));
  if (!isHistory(series)) parts.push(SINGLE);
  return parts.filter(Boolean).join(", ");
}

// How one was timed and built, where nothing else tells two apart.
const HOWS = [
  (series) => series.clock && `timed by ${series.clock}`, (series) => plural(series.threads, "thread"),
  (series) => series.options && `options ${series.options}`, (series) => `from ${series.source}`,
  (series) => (series.simulated ? "simulated" : "measured"), (series) => `series ${series.id}`,
];

const hows = new Map();
const likeName = (one) => `${one.environment} ${one.pipeline} ${ownName(one)}`;
for (const namesakes of groupedBy(DATA.series, likeName)) tellApart(namesakes, HOWS);

// To each of them what it differs in; the rest is asked of those alone that are still alike.
function tellApart(alike, [how, ...rest]) {
  if (alike.length < 2) return;
  const groups = groupedBy(alike, how);
  if (groups.length > 1) {
    for (const one of alike) hows.set(one, [...hows.get(one) ?? [], how(one)].filter(Boolean));
  }
  for (const group of groups) tellApart(group, rest);
}

const differs = (list, name) => new Set(list.map((one) => one[name])).size > 1;
const manyPipelines = differs(DATA.series, "pipeline");
const manyEnvironments = DATA.environments.length > 1;

// What tells one series from others: with its pipeline and environment, if they are not all one.
function seriesName(series, { pipeline = manyPipelines, environment = manyEnvironments } = {}) {
  const parts = [pipeline ? series.pipeline : "", ownName(series), ...hows.get(series) ?? []];
  const name = parts.filter(Boolean).join(", ");
  return environment ? `${name} on ${environmentLabel(series.environment)}` : name;
}

const WHOLE = { environment: true };

// Names that tell the series of a list from each other.
function namerOf(list) {
  const told = { pipeline: differs(list, "pipeline"), environment: differs(list, "environment") };
  return (series) => seriesName(series, told);
}

// As short as they can be: the component, and what the list differs in.
function shortNamerOf(list) {
  const names = ["variant", "size", "mode"].filter((name) => differs(list, name));
  const isAlike = distinct(list.map((one) => shortName(one, names))).length < list.length;
  return (series) => (isAlike ? ownNameAndHow(series) : shortName(series, names));
}

const shortName = (series, names) =>
  [series.component, ...names.map((name) => series[name])].filter(Boolean).join(", ");
const ownNameAndHow = (series) => seriesName(series, { pipeline: false, environment: false });
