// Tables: sorted by any column, a part at a time, and exported whole as CSV.

const PAGE = 50;

// columns: [{head, csv, get(row), show(row, value), number, tight, wide, hidden, seen, title}]
// get gives what is sorted and exported (text, a number or null), show what is seen (text or a
// node). A hidden one is in the file alone, one that is only seen is not in it; csv is what it is
// called there.
function makeTable({ caption, columns, rows, file, simulated = false, most = PAGE, empty = "Nothing is known." }) {
  const told = simulated ? `${caption}, ${SIMULATED}` : caption;
  // Where all are simulated the caption says so; the file says it of each row.
  const all = rows.every((row) => row.simulated);
  const seen = columns.filter((column) => !column.hidden && !(all && column === simulatedColumn));
  if (!rows.length) {
    return el("div", { class: "table" }, el("h3", {}, told), el("p", { class: "quiet" }, empty));
  }
  const state = { by: null, down: false, most };
  const body = el("tbody");
  const more = el("button", { type: "button", class: "more" });
  const heads = seen.map((column) => headOf(column, () => {
    state.down = state.by === column && !state.down;
    state.by = column;
    draw();
  }));
  function draw() {
    heads.forEach((head, place) => {
      const sorted = state.by === seen[place];
      if (sorted) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const ordered = sortedRows(rows, state);
    body.replaceChildren(...ordered.slice(0, state.most).map((row) => rowOf(row, seen)));
    const left = rows.length - state.most;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, 4 * PAGE)} more of ${left}`;
  }
  more.addEventListener("click", () => {
    state.most += 4 * PAGE;
    draw();
  });
  draw();
  const save = el("button", {
    type: "button", class: "csv", "aria-label": `CSV of: ${visible(told)}`,
    onclick: () => saveText(csvName(file, simulated), csvText(columns, rows)),
  }, "CSV");
  return el("div", { class: "table" },
    el("div", { class: "tablehead" },
      el("h3", {}, caption, " ", badge(simulated)), save),
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": visible(told) },
      el("table", {}, el("caption", { class: "unseen" }, told),
        el("thead", {}, el("tr", {}, heads)), body)),
    more);
}

function headOf(column, sort) {
  return el("th", { scope: "col", class: column.number ? "number" : null },
    el("button", { type: "button", onclick: sort, title: column.title }, column.head));
}

function rowOf(row, columns) {
  return el("tr", {}, columns.map((column) => {
    const value = column.get(row);
    const seen = column.show ? column.show(row, value) : value ?? NONE;
    const kind = ["number", "tight", "wide"].find((one) => column[one]);
    return el("td", { class: kind ?? null },
      seen instanceof Node || column.number ? seen : said(seen));
  }));
}

function sortedRows(rows, { by, down }) {
  if (!by) return rows;
  const turn = down ? -1 : 1;
  const keyed = rows.map((row) => [by.get(row), row]);
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  keyed.sort(([one], [other]) => {
    if (missing(one) || missing(other)) return missing(one) - missing(other);
    if (typeof one === "number" && typeof other === "number") return turn * (one - other);
    return turn * String(one).localeCompare(String(other));
  });
  return keyed.map(([, row]) => row);
}

function csvText(columns, rows) {
  const kept = columns.filter((column) => !column.seen);
  const lines = [kept.map((column) => csvCell(column.csv ?? column.head))];
  for (const row of rows) {
    lines.push(kept.map((column) => csvCell(column.get(row))));
  }
  return lines.map((line) => line.join(",") + "\r\n").join("");
}

// What a spreadsheet takes for a formula, also after blanks, and as wide as a Chinese character.
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

// A text that would be a formula gets an apostrophe; numbers stay numbers.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? numberText(value) : "";
  let text = visible(value);
  if (FORMULA.test(text)) text = "'" + text;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Counts are whole and have all their digits.
const numberText = (value) => String(Number.isInteger(value) ? value : shortest(value));

function csvName(file, simulated) {
  const name = file.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${name || "table"}${simulated ? "-SIMULATED" : ""}.csv`;
}

function saveText(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = el("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  announce(`${name} is saved`);
}

// Columns that many tables have.
const simulatedColumn = {
  head: "data", get: (row) => (row.simulated ? SIMULATED : "measured"),
  show: (row) => badge(row.simulated) ?? "measured",
};

function timeColumn(head, get, title) {
  return { head: `${head} ms`, csv: `${head} s`, number: true, title, get, show: (row, value) => ms(value) };
}

function commitColumn(head, place) {
  return {
    head, get: (row) => DATA.commits[place(row)]?.hash ?? null,
    tight: true, show: (row) => commitLink(place(row)),
  };
}

// A figure of a series in its unit, for rows of {series}; in the file as it is stored.
function figureColumn(head, get, more = {}) {
  return {
    head, csv: head, number: true, get, ...more,
    show: ({ series }, value) => (isNumber(value) ? digits(value * scaleOf(series).factor) : NONE),
  };
}

// Figures of rows of {series, place}, where the place may have another name.
const quantileAt = (share, at = "place") => (row) => quantile(row.series, row[at], share);
const valueAt = (name, at = "place") => (row) => array(row.series[name])[row[at]];

function quantileColumns(unitOf = (head) => ({ head })) {
  const all = [["min", 0], ["p50", 0.5], ["p90", 0.9], ["p95", 0.95], ["p99", 0.99], ["max", 1]];
  return all.map(([head, share]) => {
    const told = unitOf(head);
    return figureColumn(told.head, quantileAt(share), told);
  });
}

function countColumn(head = "n", at = "place") {
  return { head, number: true, get: valueAt("counts", at), show: (row, value) => bare(value) };
}

const unitColumn = {
  head: "unit", get: ({ series }) => series.unit, show: ({ series }) => scaleOf(series).unit,
};

// What tells series from each other in a file, one by one.
const identityColumns = [
  ...["pipeline", "component", "variant", "size", "mode", "streams", "threads", "clock", "options"]
    .map((head) => ({ head, hidden: true, get: ({ series }) => series[head] })),
  { head: "environment", hidden: true, get: ({ series }) => environmentLabel(series.environment) },
  { head: "runs", hidden: true, get: ({ series }) => (isHistory(series) ? "history" : SINGLE) },
];
