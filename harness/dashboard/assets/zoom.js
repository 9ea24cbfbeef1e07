// What part of History's charts is seen, in the address as everything else that is chosen:
// zoom=12.3_40.1_1.9_2.3, of x and, where it is not the whole height, of y.

const zoomName = (unit) => (unit === "seconds" ? "zoom" : `zoom-${unit}`);

// What a choice adds that shows other data.
function unzoomed() {
  const names = Object.keys(shown.choices).filter((name) => name === "zoom" || name.startsWith("zoom-"));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

const DATE = /^\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d(\.\d+)?)?)?$/;

// {x, y} as plotly wants them; null where the address says nothing that can be understood.
function zoomOf(choices, unit, isDate) {
  const parts = (choices[zoomName(unit)] ?? "").split("_");
  const x = isDate ? parts.slice(0, 2).filter((part) => DATE.test(part)) : rangeIn(parts.slice(0, 2));
  if (x.length < 2 || !(x[0] < x[1])) return null;
  const y = rangeIn(parts.slice(2));
  return { x, y: parts.length === 4 && y[0] < y[1] ? y : undefined };
}

const rangeIn = (parts) => parts.map((part) => (part === "" ? NaN : Number(part))).filter(isNumber);

// Whether somebody zoomed: then the address says so. Here whole is the range of x that is seen at first, none of dates.
function noteZoom(change, host, unit, whole) {
  const keys = Object.keys(change);
  if (keys.includes("xaxis.tickvals") || !keys.some((key) => /^[xy]axis/.test(key))) return false;
  const { xaxis, yaxis } = host._fullLayout;
  const isWide = whole ? whole.every((end, place) => Math.abs(end - xaxis.range[place]) < 1e-6) : xaxis.autorange;
  const told = [...xaxis.range, ...(yaxis.autorange ? [] : yaxis.range)].map(
    (end) => (typeof end === "number" ? bare(end) : String(end).slice(0, 19)));
  note({ [zoomName(unit)]: isWide && yaxis.autorange ? undefined : told.join("_") });
  return true;
}

function resetZoom() {
  choose({ at: undefined, ...unzoomed() }, { replace: shown.choices.at === undefined });
}
