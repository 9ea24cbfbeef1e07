// The address says what is shown: #history?component=vocoder&scale=log, #commit=1a2b3c. Whatever is
// chosen goes there first, so that links, "back" and a reload show the same.

function parseAddress(hash) {
  const found = /^#?([a-z]+)(?:=([^?]*))?(?:\?(.*))?$/.exec(hash) ?? [];
  return {
    section: found[1] ?? "",
    subject: decoding(found[2] ?? ""),
    choices: Object.fromEntries(new URLSearchParams(found[3] ?? "")),
  };
}

function decoding(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function address(section, subject = "", choices = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(choices)) {
    if (value !== undefined && value !== null && value !== "") query.set(key, value);
  }
  const told = query.toString();
  return `#${section}${subject ? "=" + encodeURIComponent(subject) : ""}${told ? "?" + told : ""}`;
}

// Go there: a new entry of the browser's history, or in place of this one.
function go(target, { replace = false } = {}) {
  if (target === location.hash) return;
  if (!replace) {
    location.hash = target;
    return;
  }
  history.replaceState(null, "", target);
  showAddress();
}

// Each section: {show(root, subject, choices), isRebuilt}: it fills root, each time anew or once.
const sections = {};
let shown = { section: "", subject: "", choices: {} };

const contentOf = (section) => document.querySelector(`#section-${section} .content`);

function showAddress({ focus = false } = {}) {
  const asked = parseAddress(location.hash);
  if (!(asked.section in sections)) {
    if (asked.section && shown.section) return;
    asked.section = "overview";
  }
  const moves = asked.section !== shown.section;
  if (moves && sections[shown.section]?.isRebuilt) contentOf(shown.section).replaceChildren();
  shown = asked;
  for (const name of Object.keys(sections)) {
    document.getElementById(`section-${name}`).hidden = name !== asked.section;
  }
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${asked.section}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  sections[asked.section].show(contentOf(asked.section), asked.subject, asked.choices);
  if (moves && focus) {
    window.scrollTo(0, 0);
    document.getElementById(`heading-${asked.section}`).focus({ preventScroll: true });
  }
}

// What is seen already, so that a reload shows it too: nothing is drawn for it.
function note(changes) {
  shown.choices = { ...shown.choices, ...changes };
  history.replaceState(null, "", address(shown.section, shown.subject, shown.choices));
}

// This section with other choices: those that are given, beside those that there are.
function choose(changes, options = {}) {
  const subject = "subject" in changes ? changes.subject : shown.subject;
  const choices = { ...shown.choices, ...changes };
  delete choices.subject;
  go(address(shown.section, subject, choices), options);
}
