// Keeps an open page true: on a `changed` event it fetches its own address again and morphs the parts marked
// `data-live` into what the server now says. What the reader is doing stays: focus, open parts, ticks, typed text.

(() => {
  const source = document.querySelector("main[data-live]")?.dataset.live;
  const sign = document.querySelector("[data-live-sign]");
  if (!source || typeof Idiomorph === "undefined") return;

  const CALM_MS = 2000; // between two fetches
  const PRESENT_MS = 5 * 60000; // a reader who touched nothing for longer does not keep the session alive
  const SILENCE_MS = 40000; // the server speaks every 15 s; a stream silent for longer is dead
  const RETRY_MS = [1000, 2000, 5000, 10000, 20000, 30000];

  let stream = null;
  let tries = 0;
  let silence = 0;
  let waiting = 0;
  let busy = false;
  let again = false;

  let touchedAt = Date.now();
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) {
    addEventListener(kind, () => (touchedAt = Date.now()), { passive: true });
  }

  function say(state) {
    if (!sign) return;
    sign.hidden = false;
    if (sign.dataset.state === state) return;
    sign.dataset.state = state;
    sign.textContent = sign.dataset[state];
  }

  // --- What the reader has touched.

  function touched(field) {
    if (field.matches('input[type="checkbox"], input[type="radio"]'))
      return field.checked !== field.defaultChecked;
    if (field.matches("input, textarea")) return field.value !== field.defaultValue;
    if (field.matches("select"))
      return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return false;
  }

  function same(a, b) {
    return a.name === b.name && a.type === b.type && (a.type !== "checkbox" || a.value === b.value);
  }

  function beingFilledIn(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return false;
    const fields = [...node.querySelectorAll('textarea, input:not([type="checkbox"])')];
    return fields.some((field) => touched(field)) && node.contains(document.activeElement);
  }

  function selecting() {
    const selection = getSelection();
    return (
      selection && !selection.isCollapsed && document.querySelector("main").contains(selection.anchorNode)
    );
  }

  const callbacks = {
    beforeNodeMorphed: (old, next) =>
      !(
        old.nodeType === Node.ELEMENT_NODE &&
        old.matches("input, select, textarea") &&
        touched(old) &&
        same(old, next)
      ),
    beforeNodeRemoved: (node) => !beingFilledIn(node),
    beforeAttributeUpdated: (name, node) =>
      !(name === "open" && node.matches("details, dialog")) &&
      !(name === "hidden" && node.matches("[data-needs-ticks]")),
  };

  // --- Fetch and morph.

  async function fetchPage() {
    const headers = { "X-Live": Date.now() - touchedAt < PRESENT_MS ? "active" : "idle" };
    const answer = await fetch(location.href, { headers, cache: "no-store" });
    if (answer.redirected && new URL(answer.url).pathname === "/login") {
      hangUp();
      say("gone"); // What was seen last stays readable; the next press leads to the login.
      return;
    }
    if (!answer.ok) throw new Error(`the page answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live], [data-live-part]")) {
      const next = part.id && page.getElementById(part.id);
      if (next) Idiomorph.morph(part, next, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks });
    }
    document.title = page.title;
    window.unstuck.refresh(document);
  }

  async function renew() {
    if (document.hidden) return;
    if (busy || selecting()) {
      again = true;
      if (!busy) wait(renew, CALM_MS);
      return;
    }
    busy = true;
    again = false;
    try {
      await fetchPage();
    } catch {
      say("off");
      again = true;
    }
    setTimeout(() => {
      busy = false;
      if (again) renew();
    }, CALM_MS);
  }

  // --- The stream.

  function wait(act, ms) {
    clearTimeout(waiting);
    waiting = setTimeout(act, ms);
  }

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MS);
    tries = 0;
    say("on");
  }

  function hangUp() {
    clearTimeout(silence);
    clearTimeout(waiting);
    stream?.close();
    stream = null;
  }

  function lost() {
    hangUp();
    say("off");
    if (document.hidden) return;
    const pause = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    tries += 1;
    wait(() => listen("missed"), pause * (0.5 + Math.random()));
  }

  function listen(since) {
    hangUp();
    stream = new EventSource(source);
    stream.addEventListener("open", () => {
      heard();
      if (since === "missed") renew();
    });
    stream.addEventListener("changed", () => {
      heard();
      renew();
    });
    stream.addEventListener("beat", heard);
    stream.addEventListener("error", lost);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : listen("missed")));
  addEventListener("pagehide", hangUp);
  addEventListener("pageshow", (event) => event.persisted && listen("missed"));
  if (!document.hidden) listen("fresh");
})();
