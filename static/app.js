// Comfort on top of pages that work without it: theme, relative times, tick-all boxes, copy buttons, menus.

(() => {
  const root = document.documentElement;

  // --- Theme: "system", "light" or "dark".

  function themeNow() {
    return root.dataset.theme || "system";
  }

  function showTheme() {
    for (const button of document.querySelectorAll("[data-set-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setTheme === themeNow()));
    }
  }

  function setTheme(theme) {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch {
      // No storage: the choice holds for this page only.
    }
    showTheme();
  }

  // --- Relative times. The server writes the exact one in `datetime` and in the title.

  const relative = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "always", style: "narrow" });
  const local = new Intl.DateTimeFormat(root.lang || "en", { dateStyle: "medium", timeStyle: "long" });
  const steps = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];

  function tell(seconds) {
    const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) || steps[3];
    return relative.format(Math.trunc(seconds / size), unit);
  }

  function tellTimes(within) {
    for (const node of within.querySelectorAll("time[data-relative]")) {
      const at = Date.parse(node.dateTime);
      if (Number.isNaN(at)) continue;
      const text = tell((at - Date.now()) / 1000);
      if (node.textContent !== text) node.textContent = text;
      if (!node.dataset.exact) node.dataset.exact = node.title;
      node.title = `${node.dataset.exact}\n${local.format(at)}`;
    }
  }

  // --- Tick all. `data-tick-all="name"` rules the boxes of that name in its table; `data-ticked` counts those of the
  // form, and a task that stands in two tables once.

  function boxesOf(all) {
    const table = all.closest("table");
    return table
      ? [...table.querySelectorAll(`input[type="checkbox"][name="${CSS.escape(all.dataset.tickAll)}"]`)]
      : [];
  }

  function countTicks(form) {
    const chosen = new Set();
    for (const all of form.querySelectorAll("[data-tick-all]")) {
      const boxes = boxesOf(all);
      const ticked = boxes.filter((box) => box.checked);
      all.checked = ticked.length > 0 && ticked.length === boxes.length;
      all.indeterminate = ticked.length > 0 && ticked.length < boxes.length;
      for (const box of ticked) chosen.add(box.value);
    }
    for (const out of form.querySelectorAll("[data-ticked]")) out.textContent = String(chosen.size);
    for (const part of form.querySelectorAll("[data-needs-ticks]")) part.hidden = chosen.size === 0;
  }

  function countAllTicks(within) {
    const forms = new Set([...within.querySelectorAll("[data-tick-all]")].map((all) => all.closest("form")));
    for (const form of forms) if (form) countTicks(form);
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox" || !box.form) return;
    if (box.dataset.tickAll) for (const one of boxesOf(box)) one.checked = box.checked;
    countTicks(box.form);
  });

  // --- Presses.

  document.addEventListener("click", async (event) => {
    const theme = event.target.closest("[data-set-theme]");
    if (theme) setTheme(theme.dataset.setTheme);

    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const source = copy.dataset.copy
        ? copy.dataset.copy
        : document.getElementById(copy.dataset.copyFrom)?.textContent;
      try {
        await navigator.clipboard.writeText(source || "");
        copy.dataset.label ||= copy.querySelector("span").textContent;
        copy.querySelector("span").textContent = copy.dataset.copied;
        setTimeout(() => (copy.querySelector("span").textContent = copy.dataset.label), 2000);
      } catch {
        copy.hidden = true; // No clipboard here (plain HTTP): the text itself can be selected.
      }
    }

    // An open menu closes when something else is pressed.
    for (const menu of document.querySelectorAll("details.account[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.account[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A field marked so sends its form as soon as it changes; without scripts the form's own button does.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // A form is sent once, however often it is pressed; a page that comes back from history can send again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  function refresh(within) {
    showTheme();
    tellTimes(within);
    countAllTicks(within);
  }

  window.unstuck = { refresh };
  refresh(document);
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  setInterval(() => tellTimes(document), 5000);
})();
