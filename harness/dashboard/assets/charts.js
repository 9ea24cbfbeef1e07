// Charts: plotly in the page's colours, drawn when it has loaded and only where it is seen.

// plotly takes about a second to read. So the page shows first; then plotly is read, at once where
// a chart waits for it, else when there is nothing else to do.
const waiting = [];

function whenPlotly(work) {
  if (window.Plotly) work();
  else waiting.push(work);
}

function loadPlotly() {
  if (!window.Plotly) {
    const source = document.getElementById("plotly");
    document.body.append(el("script", { textContent: source.textContent }));
    source.remove();
  }
  for (const work of waiting.splice(0)) work();
  document.documentElement.dataset.charts = "true";
  performance.mark("charts");
}

// Colours are in the style sheet alone; a probe tells what they come to in this theme.
function colour(name) {
  const probe = document.getElementById("probe")
    ?? document.body.appendChild(el("span", { id: "probe", hidden: true }));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const SERIES_COLOURS = 8;
const seriesColour = (place) => colour(`c${place % SERIES_COLOURS}`);
// After the colours are used up the marks tell.
const MARK_SHAPES = ["circle", "square", "diamond", "x"];
const seriesMark = (place) => MARK_SHAPES[Math.floor(place / SERIES_COLOURS) % MARK_SHAPES.length];

function faded(rgb, opacity) {
  const parts = rgb.match(/[\d.]+/g).slice(0, 3);
  return `rgba(${parts.join(",")},${opacity})`;
}

function axis(title, more = {}) {
  return {
    title: { text: title, standoff: 8 }, gridcolor: colour("grid"), linecolor: colour("line"),
    zeroline: false, zerolinecolor: colour("line"), automargin: true, ...more,
  };
}

// Words on as many lines as they need; what is plain() already is not cut within an entity.
function wrapped(text, most) {
  const found = [""];
  for (const word of text.split(" ")) {
    if (found.at(-1) && found.at(-1).length + word.length >= most) found.push(word);
    else found.push(`${found.pop()} ${word}`.trim());
  }
  return found;
}

function layoutOf({ title, simulated, height = 420, ...more }, width) {
  const titles = wrapped(title, Math.max(24, (width - (width < NARROW ? 40 : 260)) / 7));
  const annotations = [...(more.annotations ?? [])];
  if (simulated) annotations.push(simulatedMark());
  return {
    height, hovermode: "closest", dragmode: "zoom",
    paper_bgcolor: colour("panel"), plot_bgcolor: colour("panel"),
    font: { color: colour("ink"), family: "system-ui, sans-serif", size: 12 },
    title: {
      text: titles.map((line) => `<b>${line}</b>`).join("<br>"),
      x: 0, xref: "container", xanchor: "left", pad: { l: 12 },
      // plotly puts the middle of several lines where the first would be.
      y: 1 - (10 + 9 * (titles.length - 1)) / height, yanchor: "top", font: { size: 13 },
    },
    margin: { l: 56, r: 16, t: 38 + 18 * titles.length, b: 48 },
    hoverlabel: {
      align: "left", bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 },
    },
    legend: { orientation: "h", y: -0.2, yanchor: "top", x: 0, bgcolor: "rgba(0,0,0,0)", tracegroupgap: 0 },
    ...more, annotations,
  };
}

// Inside the plot, so that a picture of it says so as well.
function simulatedMark() {
  return {
    text: `<b>${SIMULATED}</b>`, xref: "paper", yref: "paper", x: 1, y: 1, xanchor: "right",
    yanchor: "bottom", yshift: 3, showarrow: false, font: { color: colour("on-simulated"), size: 12 },
    bgcolor: colour("simulated"), borderpad: 3,
  };
}

// There plotly's buttons would lie on the title; fingers and "Reset zoom" do the same.
const NARROW = 460;

const CONFIG = {
  displaylogo: false, doubleClick: "reset",
  // Named one by one: plotly also has one that sends the data to a server.
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

// Draw into host what build() gives: {traces, layout, on: {event: handler}, words}. The words say
// for whom cannot see it what it shows.
function drawChart(host, build) {
  whenPlotly(() => {
    forgetCharts();
    if (!host.isConnected || !host.clientWidth) return;
    const { traces, layout, on = {}, words } = build();
    host.setAttribute("role", "group");
    host.setAttribute("aria-label", visible(words));
    const width = host.clientWidth;
    const room = Math.max(24, (width - 90) / 6.5);
    for (const trace of traces) trace.name = wrapped(trace.name ?? "", room).join("<br>");
    if (layout.showlegend) layout.height = (layout.height ?? 420) + 19 * Math.max(0, legendLines(traces) - 2);
    // The width is told, for paper waits for no second look at it; start.js sees when it changes.
    Plotly.react(host, traces, { ...layoutOf(layout, width), width }, {
      ...CONFIG, displayModeBar: width >= NARROW,
      toImageButtonOptions: { filename: "trt-harness", format: "png", scale: 2 },
    });
    drawn.add(host);
    host.removeAllListeners?.();
    for (const [event, handler] of Object.entries(on)) host.on(event, handler);
  });
}

// What is no longer in the page would be held by its listeners.
const drawn = new Set();

function forgetCharts() {
  for (const host of drawn) {
    if (host.isConnected) continue;
    Plotly.purge(host);
    drawn.delete(host);
  }
}

function legendLines(traces) {
  const named = traces.filter((trace) => trace.name && trace.showlegend !== false);
  return named.reduce((sum, trace) => sum + trace.name.split("<br>").length, 0);
}

// Where a point's text goes, in plotly's words, and its box in pixels from the point.
const TEXT_BOXES = [
  ["middle right", (w) => [10, -7, 10 + w, 7]], ["middle left", (w) => [-10 - w, -7, -10, 7]],
  ["top center", (w) => [-w / 2, -24, w / 2, -9]], ["bottom center", (w) => [-w / 2, 9, w / 2, 24]],
  ["top right", (w) => [4, -24, 4 + w, -9]], ["bottom right", (w) => [4, 9, 4 + w, 24]],
  ["top left", (w) => [-4 - w, -24, -4, -9]], ["bottom left", (w) => [-4 - w, 9, -4, 24]],
];

// Texts of points so that none lies on another: [{text, place}], without one where there is no room.
// Points are {x, y, text} with x and y as shares of the plot, which is so many pixels wide and high.
function placedTexts(points, width, height) {
  const at = points.map(({ x, y }) => [x * width, (1 - y) * height]);
  const taken = at.map(([x, y], owner) => ({ owner, box: [x - 7, y - 7, x + 7, y + 7] }));
  return points.map(({ text }, owner) => {
    const [x, y] = at[owner];
    for (const [place, boxOf] of TEXT_BOXES) {
      const [left, top, right, bottom] = boxOf(6.2 * visible(text).length);
      const box = [x + left, y + top, x + right, y + bottom];
      const fits = box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height;
      if (fits && !taken.some((other) => other.owner !== owner && overlap(other.box, box))) {
        taken.push({ owner: -1, box });
        return { text: plain(text), place };
      }
    }
    return { text: "", place: "middle right" };
  });
}

const overlap = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

// The range of an axis with room at both ends, in its own terms (exponents of a logarithmic one).
function roomy(values, room = 0.08) {
  const [low, high] = ends(values);
  const margin = room * (high - low) || Math.abs(high) * room || 1;
  return [low - margin, high + margin];
}

const chartHost = (name) => el("div", { class: "chart", "data-chart": name });

// Hover texts go through customdata, whose text plotly does not take for a template.
const HOVER = "%{customdata}<extra></extra>";

const lines = (...parts) => parts.flat().filter(Boolean).join("<br>");

// Commits along an axis: their places, with a hash and a day at as many as there is room for.
function commitTicks(from, to, width) {
  const room = Math.max(2, Math.floor(width / 95));
  const first = Math.max(0, Math.ceil(from));
  const last = Math.min(DATA.commits.length - 1, Math.floor(to));
  const step = Math.max(1, Math.ceil((last - first + 1) / room));
  const places = [];
  for (let place = first; place <= last; place += step) places.push(place);
  return {
    tickvals: places,
    ticktext: places.map((place) =>
      `${plain(tickHash(DATA.commits[place].hash))}<br>${plain(day(DATA.commits[place].date_utc))}`),
  };
}
