// Keeps an open page current: when entries change, the parts marked data-live are fetched anew and put in place. Without
// this script a page is whole, and only older until it is loaded again.
"use strict";
(() => {
  const { changes, generation } = document.body.dataset;
  const announcement = document.getElementById("announcement");
  const slowly = 15000;
  let shown = generation;
  let running = false;
  let again = false;

  // What a part should keep when another takes its place: what is open in it, and where the focus is.
  function carryOver(before, after) {
    for (const open of before.querySelectorAll("details[id][open]")) {
      const same = after.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    const focused = document.activeElement;
    if (!before.contains(focused)) return null;
    const name = focused.id ? `#${CSS.escape(focused.id)}` : focused.href && `a[href="${CSS.escape(focused.getAttribute("href"))}"]`;
    return name ? after.querySelector(name) : null;
  }

  // Nobody who is filling in the form may lose what they have chosen.
  function isInUse(form) {
    if (form.contains(document.activeElement)) return true;
    const chosen = (select) => [...select.options].find((option) => option.defaultSelected) || select.options[0];
    return [...form.elements].some((field) =>
      field.tagName === "SELECT" ? field.selectedOptions[0] !== chosen(field) : field.value !== (field.defaultValue ?? field.value),
    );
  }

  function replace(fresh) {
    const amount = fresh.querySelector(".count")?.textContent.trim();
    let spoken = "";
    for (const before of document.querySelectorAll("[data-live]")) {
      const after = fresh.getElementById(before.id);
      if (!after || (before.tagName === "FORM" && isInUse(before))) continue;
      // What people have opened is no difference.
      const seen = before.cloneNode(true);
      for (const open of seen.querySelectorAll("details[open]")) open.open = false;
      if (seen.outerHTML === after.outerHTML) continue;
      const focus = carryOver(before, after);
      before.replaceWith(document.adoptNode(after));
      if (focus) focus.focus({ preventScroll: true });
      if (after.dataset.live !== "quiet" && after.tagName !== "FORM") {
        spoken = amount || "The page has changed.";
      }
    }
    if (spoken) announcement.textContent = spoken;
  }

  async function refresh() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        const answer = await fetch(location.href, { cache: "no-cache" });
        const type = answer.headers.get("content-type") || "";
        if (!type.startsWith("text/html") || answer.status === 503) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        shown = fresh.body.dataset.generation;
        replace(fresh);
      } while (again);
    } catch {
      // Not reached at the moment: the next event, or the next look, tries again.
    } finally {
      running = false;
    }
  }

  let events;
  let looking;
  function watch() {
    events = new EventSource(changes);
    events.addEventListener("generation", (event) => {
      clearInterval(looking);
      if (event.data !== shown) refresh();
    });
    // The browser itself tries again, unless it was refused: then the page looks by itself.
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;
      clearInterval(looking);
      looking = setInterval(() => {
        refresh();
        watchAgain();
      }, slowly);
    });
  }
  function watchAgain() {
    if (events.readyState === EventSource.CLOSED) watch();
  }

  // A page that nobody sees takes up no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearInterval(looking);
      events.close();
    } else {
      watchAgain();
    }
  });
  watch();

  // What changes without any entry.
  const every = Number(document.querySelector("[data-refresh]")?.dataset.refresh);
  if (every) setInterval(() => document.hidden || refresh(), every * 1000);
})();
