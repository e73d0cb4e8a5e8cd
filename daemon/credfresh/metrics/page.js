"use strict";
// Asks for the page anew and changes what differs: no flicker, and nobody loses their place.
(() => {
  const every = Number(document.body.dataset.every) * 1000;
  const filter = document.getElementById("q");
  const patience = 10000;  // of being told to ask again
  let asking = null, answered = Date.now();

  function patch(old, now) {
    if (old.isEqualNode(now)) return;
    if (old.nodeType !== 1 || old.nodeName !== now.nodeName || old.id !== now.id) {
      old.replaceWith(now.cloneNode(true));
      return;
    }
    for (const { name } of [...old.attributes])
      if (!now.hasAttribute(name) && name !== "tabindex") old.removeAttribute(name);
    for (const { name, value } of now.attributes)
      if (old.getAttribute(name) !== value && name !== "tabindex") old.setAttribute(name, value);
    const before = [...old.childNodes], after = [...now.childNodes];
    const byId = new Map(before.filter((node) => node.id).map((node) => [node.id, node]));
    after.forEach((node, place) => {
      const here = old.childNodes[place];
      const known = node.id && byId.get(node.id);
      if (known && known !== here) old.insertBefore(known, here || null);
      const standing = known || here;
      if (!standing) old.append(node.cloneNode(true));
      else if (node.id && !known && standing.id) old.insertBefore(node.cloneNode(true), standing);
      else patch(standing, node);
    });
    while (old.childNodes.length > after.length) old.lastChild.remove();
  }

  async function refresh() {
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    const limit = setTimeout(() => mine.abort(), 10000);
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: mine.signal });
      const busy = Number(answer.headers.get("Retry-After"));
      if (busy && Date.now() - answered < patience) return void setTimeout(refresh, busy * 1000);
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = document.activeElement;
      for (const part of ["#when", "#summary", "#states", "caption", "thead", "tbody"])
        patch(document.querySelector(part), page.querySelector(part));
      // A node that moves loses its focus.
      if (focused.isConnected && focused !== document.activeElement)
        focused.focus({ preventScroll: true });
      document.title = page.title;
      document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").href;
      document.body.classList.remove("stale");
      answered = Date.now();
    } catch (error) {
      if (mine !== asking) return;
      const when = document.getElementById("when");
      if (!document.body.classList.contains("stale")) when.prepend("no answer since ");
      document.body.classList.add("stale");
    } finally {
      clearTimeout(limit);
      if (mine === asking) asking = null;
    }
  }

  function go(href) {
    history.replaceState(null, "", href);
    refresh();
  }

  function move(step) {
    const rows = [...document.querySelectorAll("tbody tr[tabindex]")];
    const at = rows.indexOf(document.activeElement);
    const row = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (row) row.focus();
  }

  let typed = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const url = new URL(location.href);
      if (filter.value) url.searchParams.set("q", filter.value);
      else url.searchParams.delete("q");
      go(url);
    }, 200);
  });
  document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("states").addEventListener("click", (event) => {
    const chip = event.target.closest("a");
    if (!chip || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(chip.href);
  });
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "Escape") {
      filter.value = "";
      filter.blur();
      go("/");
    } else if (event.key === "/" && document.activeElement !== filter) {
      event.preventDefault();
      filter.select();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (document.activeElement === filter && event.key === "ArrowUp") return;
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    }
  });
  setInterval(() => { if (!document.hidden && !asking) refresh(); }, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
})();
