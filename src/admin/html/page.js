// Keeps the status page current: patches what the server sends, counts times down in between.
// Everything that it inserts was written and escaped by the server. Without it the page works
// as a snapshot, and every action as a page of its own.
(() => {
  "use strict";
  const body = document.body;
  const words = body.dataset;
  const [days, hours, minutes, seconds, gap] = words.units.split("|");

  // The server's clocks, carried on by the browser's monotonic one: the clock of whoever looks
  // may be wrong.
  let boot, wall, taken;
  const setClock = (now, wallNow) => { boot = Number(now); wall = Number(wallNow); taken = performance.now(); };
  const passed = () => performance.now() - taken;
  setClock(words.now, words.wall);

  const span = (millis) => {
    const all = Math.floor(Math.max(0, millis) / 1000);
    const d = Math.floor(all / 86400), h = Math.floor(all / 3600) % 24, m = Math.floor(all / 60) % 60, s = all % 60;
    const one = (number, unit) => number > 0 ? number + gap + unit : "";
    const two = (a, b) => b ? a + " " + b : a;
    if (d > 0) return two(one(d, days), one(h, hours));
    if (h > 0) return two(one(h, hours), one(m, minutes));
    if (m >= 10) return one(m, minutes);
    if (m > 0) return two(one(m, minutes), one(s, seconds));
    return s + gap + seconds;
  };
  const forms = { in: words.formIn, ago: words.formAgo, left: words.formLeft, plain: words.formPlain };
  const formed = (form, millis) => {
    if (form === "in" && millis <= 0) return words.wordSoon;
    if (form === "left" && millis <= 0) return words.wordEnded;
    if (form === "ago" && millis > -1000) return words.wordNow;
    return (forms[form] || "{}").replace("{}", span(Math.abs(millis)));
  };
  const two = (number) => String(number).padStart(2, "0");
  const clockTime = (millis) => {
    const at = new Date(millis);
    return at.getFullYear() + "-" + two(at.getMonth() + 1) + "-" + two(at.getDate()) + " "
      + two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds());
  };
  const tick = (root) => {
    const bootNow = boot + passed(), wallNow = wall + passed();
    for (const time of root.querySelectorAll("time")) {
      const onBoot = time.dataset.at !== undefined;
      const millis = onBoot ? time.dataset.at - bootNow : time.dataset.wall - wallNow;
      const text = formed(time.dataset.form, millis);
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = clockTime(wallNow + millis);
    }
    for (const bar of root.querySelectorAll("svg[data-from]")) {
      const from = Number(bar.dataset.from), to = Number(bar.dataset.to);
      const share = to > from ? Math.min(1, Math.max(0, (bootNow - from) / (to - from))) : 1;
      bar.querySelector(".over").setAttribute("width", Math.round(share * 1000));
    }
  };

  // Makes `old` like `made`, touching only what differs: focus, selection and hover stay.
  const patch = (old, made) => {
    if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName || (old.id || "") !== (made.id || "")) {
      old.replaceWith(made);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== made.nodeValue) old.nodeValue = made.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of [...made.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    patchChildren(old, made);
  };
  const patchChildren = (old, made) => {
    const wanted = [...made.childNodes];
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const child of wanted) {
      const same = child.id && named.get(child.id);
      if (same && same !== at) old.insertBefore(same, at);
      const target = same || at;
      if (!target || (!same && target.id && child.id !== target.id)) { old.insertBefore(child, at); continue; }
      at = target.nextSibling;
      patch(target, child);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };
  const parse = (html) => { const made = document.createElement("template"); made.innerHTML = html; return made.content; };

  // Rows move only while nobody points at them: a button must not slip away under a finger.
  const list = document.getElementById("keys");
  let order = null;
  const pointed = () => list.matches(":hover") && matchMedia("(hover: hover)").matches;
  const arrange = () => {
    if (!order || pointed()) return;
    let at = list.firstElementChild;
    for (const id of order) {
      const row = document.getElementById(id);
      if (!row) continue;
      if (row === at) at = at.nextElementSibling; else list.insertBefore(row, at);
    }
    order = null;
  };
  list.addEventListener("mouseleave", arrange);

  const apply = (update) => {
    setClock(update.now, update.wall);
    for (const [name, html] of Object.entries(update.parts || {})) {
      const part = document.getElementById(name);
      if (part) patchChildren(part, parse(html));
    }
    if (update.order) {
      const kept = new Set(update.order);
      for (const row of [...list.children]) if (!kept.has(row.id)) row.remove();
      order = update.order;
    }
    for (const [id, html] of Object.entries(update.rows || {})) {
      const made = parse(html).firstElementChild;
      const row = document.getElementById(id);
      if (!row) { made.classList.add("arrived"); list.append(made); continue; }
      const before = row.querySelector(".prints code");
      const print = before && before.textContent;
      row.classList.remove("changed");
      patch(row, made);
      const after = row.querySelector(".prints code");
      if (print && after && after.textContent !== print) { void row.offsetWidth; row.classList.add("changed"); }
    }
    arrange();
    tick(body);
  };

  const live = document.getElementById("live");
  const say = (state, text) => { live.className = "live " + state; live.textContent = text; body.dataset.stream = state; };
  let source = null, retry = null, patience = 2000;
  const connect = () => {
    clearTimeout(retry);
    source = new EventSource(words.events);
    source.addEventListener("update", (event) => { patience = 2000; apply(JSON.parse(event.data)); say("on", words.wordLive); });
    source.addEventListener("reload", () => { source.close(); location.reload(); });
    source.addEventListener("error", () => {
      say("off", words.wordLost);
      // A browser gives up by itself after an answer that is no stream: the daemon restarts, or
      // there are too many pages.
      if (source.readyState === EventSource.CLOSED) { retry = setTimeout(connect, patience); patience = Math.min(patience * 2, 60000); }
    });
  };
  connect();
  // A page in the background needs no news; when it is looked at again, it gets all at once.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source.close(); clearTimeout(retry); say("off", words.wordStill); } else { connect(); }
  });
  addEventListener("pagehide", () => source.close());
  setInterval(() => { if (!document.hidden) tick(body); }, 1000);

  // A confirmation opens over the page; it is the same form as on a page of its own.
  const dialog = document.getElementById("ask");
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-act]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !dialog.showModal) return;
    event.preventDefault();
    let made = null;
    try {
      const answer = await fetch(link.href, { credentials: "same-origin" });
      made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".confirm");
      if (answer.redirected || !made) made = null;
    } catch { /* the page of its own says what is wrong */ }
    if (!made) { location.assign(link.href); return; }
    dialog.replaceChildren(made);
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });

  for (const select of document.querySelectorAll(".find select")) select.addEventListener("change", () => select.form.requestSubmit());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key === "/" && !typing) { event.preventDefault(); document.querySelector(".find input[type=search]").focus(); }
  });
})();
