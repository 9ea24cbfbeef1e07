// Of a page that "harness dashboard --serve" serves: asks the server now and then whether there is
// a newer one, and loads it. What is chosen on the page is in the address, and so is kept; a zoom is
// not.
(() => {
  "use strict";
  if (!location.protocol.startsWith("http")) return;
  const ASK_MS = 2000;
  const mark = document.querySelector('meta[name="dashboard-version"]');
  let shown = mark === null ? null : mark.content;

  function note() {
    const found = document.getElementById("refresh-note");
    if (found !== null) return found;
    const made = document.createElement("p");
    made.id = "refresh-note";
    made.setAttribute("role", "status");
    Object.assign(made.style, {
      position: "fixed", right: "1rem", bottom: "1rem", zIndex: "1000", margin: "0",
      maxWidth: "min(40rem, 90vw)", padding: "0.5rem 0.75rem", borderRadius: "0.4rem",
      border: "1px solid", background: "Canvas", color: "CanvasText",
    });
    document.body.append(made);
    return made;
  }

  function tell(text) {
    const place = note();
    if (place.textContent !== text) place.textContent = text;
    place.hidden = text === "";
  }

  // Nobody loses what is just being typed.
  function isTyping() {
    const active = document.activeElement;
    return document.hasFocus() && active !== null
      && active.matches('textarea, input[type="text"], input[type="search"], input:not([type])');
  }

  async function ask() {
    let told = null;
    try {
      const answer = await fetch("/version", { cache: "no-store" });
      if (answer.ok) told = await answer.json();
    } catch {
      // The server has ended.
    }
    if (told === null) {
      tell("The server has ended: this is what it showed last.");
    } else if (shown !== null && told.version !== shown) {
      if (!isTyping()) {
        location.reload();
        return;
      }
      tell("There are newer figures: they are shown when you leave the field.");
    } else {
      shown = told.version;
      if (told.problem) tell(`These are not the newest figures: ${told.problem}`);
      else tell(told.is_building ? "New figures are being read." : "");
    }
    setTimeout(ask, ASK_MS);
  }

  ask();
})();
