// Keeps an open page true: on a `changed` event it fetches its own address again and morphs the parts marked
// `data-live` into what the server now says. What the reader is doing stays: focus, open parts, ticks, typed text.

(() => {
  const source = document.querySelector("main[data-live]")?.dataset.live;
  const sign = document.querySelector("[data-live-sign]");
  if (!source || typeof Idiomorph === "undefined") return;

  const CALM_MS = 2000; // between two fetches
  const PRESENT_MS = 5 * 60000; // a reader who touched nothing for longer does not keep the session alive
  const PATIENCE_MS = 15000; // for one fetch
  const SILENCE_MS = 40000; // the server speaks every 15 s; a stream silent for longer is dead
  const RETRY_MS = [1000, 2000, 5000, 10000, 20000, 30000];

  let stream = null;
  let tries = 0;
  let silence = 0;
  let retry = 0;
  let renewal = 0;
  let busy = false;
  let again = false;
  let gone = false;
  let read = Date.now(); // when what is shown was read
  let fresh = true; // nothing has changed since, as far as is known

  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });

  let touchedAt = Date.now();
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) {
    addEventListener(kind, () => (touchedAt = Date.now()), { passive: true });
  }

  // What does not renew itself says since when: nobody may take old figures for new ones.
  function say(state) {
    if (!sign) return;
    const text = sign.dataset[state].replace("{time}", clock.format(read));
    sign.hidden = false;
    sign.dataset.state = state;
    if (sign.textContent !== text) sign.textContent = text;
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
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(location.href, { headers, cache: "no-store", signal });
    if (answer.redirected && new URL(answer.url).pathname === "/login") {
      hangUp();
      gone = true;
      say("gone"); // What was seen last stays readable; the next press leads to the login.
      return;
    }
    if (!answer.ok) throw new Error(`the page answered ${answer.status}`);
    const at = Date.now();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live], [data-live-part]")) {
      const next = part.id && page.getElementById(part.id);
      if (!next) continue;
      Idiomorph.morph(part, next.childNodes, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks });
    }
    document.title = page.title;
    window.unstuck.refresh(document);
    read = at;
    fresh = true;
    if (listening()) say("on");
  }

  async function renew() {
    if (document.hidden || gone) return;
    fresh = false;
    if (busy || selecting()) {
      again = true;
      if (!busy) {
        say(listening() ? "held" : "off");
        clearTimeout(renewal);
        renewal = setTimeout(renew, CALM_MS);
      }
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

  function listening() {
    return stream?.readyState === EventSource.OPEN;
  }

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MS);
    tries = 0;
    if (fresh) say("on");
  }

  function hangUp() {
    clearTimeout(silence);
    clearTimeout(retry);
    stream?.close();
    stream = null;
  }

  function lost() {
    hangUp();
    say("off");
    if (document.hidden) return;
    const pause = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    tries += 1;
    retry = setTimeout(listenAgain, pause * (0.5 + Math.random()));
  }

  function listen() {
    hangUp();
    silence = setTimeout(lost, SILENCE_MS);
    stream = new EventSource(source);
    stream.addEventListener("open", () => {
      heard();
      if (!fresh) renew();
    });
    stream.addEventListener("changed", () => {
      heard();
      renew();
    });
    stream.addEventListener("beat", heard);
    stream.addEventListener("error", () => {
      // Answered, but with no stream: the page's own address tells whether the session is over.
      const refused = stream?.readyState === EventSource.CLOSED;
      lost();
      if (refused) renew();
    });
  }

  // Something may have been missed: until the page is fetched again, it is an old one.
  function listenAgain() {
    gone = false;
    fresh = false;
    say("off");
    listen();
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : listenAgain()));
  addEventListener("pagehide", hangUp);
  addEventListener("pageshow", (event) => event.persisted && listenAgain());
  if (!document.hidden) listen();
})();
