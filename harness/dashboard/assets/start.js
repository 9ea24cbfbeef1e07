// The page begins: the theme and the address.

const darkness = window.matchMedia("(prefers-color-scheme: dark)");
const paper = window.matchMedia("print");

// A page of a file may have no storage.
function kept(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(key);
    localStorage.setItem(key, value);
  } catch {
    // Then the choice lasts as long as the page.
  }
  return null;
}

const isDark = () => (document.documentElement.dataset.theme
  ? document.documentElement.dataset.theme === "dark" : darkness.matches);

function nameTheme() {
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  document.getElementById("theme").setAttribute("aria-label", `Use the ${isDark() ? "light" : "dark"} theme`);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  kept("trt-harness-theme", theme);
  nameTheme();
  restyle();
}

// Charts take their colours when they are drawn.
function restyle() {
  if (shown.section) sections[shown.section].show(contentOf(shown.section), shown.subject, shown.choices);
}

document.getElementById("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
darkness.addEventListener("change", () => {
  nameTheme();
  restyle();
});
paper.addEventListener("change", restyle);
let widthBefore = window.innerWidth;
window.addEventListener("resize", () => requestAnimationFrame(() => {
  // A phone's bars come and go, which changes the height alone.
  if (window.innerWidth === widthBefore) return;
  widthBefore = window.innerWidth;
  restyle();
}));
window.addEventListener("hashchange", () => showAddress({ focus: true }));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

function whenIdle(work) {
  if (window.requestIdleCallback) requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 200);
}

const themeKept = kept("trt-harness-theme");
if (themeKept === "dark" || themeKept === "light") document.documentElement.dataset.theme = themeKept;
nameTheme();
showAddress();
// What is shown without plotly is painted before it is read.
requestAnimationFrame(() => setTimeout(() => {
  if (waiting.length) loadPlotly();
  else whenIdle(loadPlotly);
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
}));
