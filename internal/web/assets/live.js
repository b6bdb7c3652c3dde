// Keeps an open page up to date. Without it pages can be read and their forms
// work; times and figures are those of the moment in which a page was asked for.
"use strict";
(() => {
  const root = document.documentElement;
  const lost = document.querySelector(".stream");
  const notice = document.getElementById("notice");
  let ahead = Number(root.dataset.now) - Date.now(); // how far the server's clock is

  // morph makes an element's children those of another, and keeps the ones that
  // stay: so focus, selection and open confirmations stay too.
  function morph(has, wants) {
    const keyed = new Map();
    for (const child of has.children) {
      if (child.dataset.key) keyed.set(child.dataset.key, child);
    }
    let at = has.firstChild;
    for (const want of [...wants.childNodes]) {
      const key = want.dataset && want.dataset.key;
      let kept = null;
      if (key) kept = keyed.get(key) || null;
      else if (at && at.nodeName === want.nodeName && !(at.dataset && at.dataset.key)) kept = at;
      if (!kept) {
        has.insertBefore(want, at);
        continue;
      }
      keyed.delete(key);
      if (kept === at) at = at.nextSibling;
      else has.insertBefore(kept, at);
      update(kept, want);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function update(kept, want) {
    if (kept.nodeType !== Node.ELEMENT_NODE) {
      if (kept.data !== want.data) kept.data = want.data;
      return;
    }
    for (const { name } of [...kept.attributes]) {
      if (!want.hasAttribute(name) && name !== "open") kept.removeAttribute(name);
    }
    for (const { name, value } of want.attributes) {
      if (kept.getAttribute(name) !== value) kept.setAttribute(name, value);
    }
    morph(kept, want);
  }

  // span is a length of time in its largest unit, as the server writes it.
  function span(milliseconds) {
    const seconds = Math.floor(Math.abs(milliseconds) / 1000);
    for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
      if (seconds >= length) return Math.floor(seconds / length) + " " + unit;
    }
    return seconds + " s";
  }

  function tell(time, now) {
    const since = now - Date.parse(time.dateTime);
    let text = span(Math.max(since, 0));
    if (time.className === "ago") text = since <= -1000 ? "in " + span(since) : text + " ago";
    else if (since <= -1000) text = "-" + span(since);
    if (time.textContent !== text) time.textContent = text;
  }

  function tellAll(within) {
    const now = Date.now() + ahead;
    for (const time of within.querySelectorAll("time")) tell(time, now);
  }

  function parse(html) {
    const made = document.createElement("template");
    made.innerHTML = html;
    tellAll(made.content);
    return made.content;
  }

  function show(event) {
    const update = JSON.parse(event.data);
    if (update.build !== root.dataset.build) {
      location.reload(); // another version of the page answers here now
      return;
    }
    ahead = update.now - Date.now();
    document.title = update.title;
    wear(update.tone);
    for (const [id, html] of update.parts) {
      const part = document.getElementById(id);
      if (part) morph(part, parse(html));
    }
  }

  function wear(tone) {
    if (root.dataset.tone === tone) return;
    root.dataset.tone = tone;
    const icon = document.querySelector("link[rel=icon]");
    icon.href = icon.dataset[tone];
  }

  function isLost(yes) {
    const text = yes ? "Not connected: what you see may be out of date. Trying again…" : "";
    if (lost.textContent !== text) lost.textContent = text;
    root.toggleAttribute("data-lost", yes);
  }

  // A page is followed while it is seen, by its stream or by reading it anew: a
  // browser has few connections to a host. Each time that this begins anew is a
  // turn, and what was under way in an earlier one is void.
  const patience = 2000; // milliseconds between attempts
  let turn = 0, timer = 0, stream = null;

  function stop() {
    turn++;
    clearTimeout(timer);
    if (stream) stream.close();
    stream = null;
  }

  function begin() {
    stop();
    if (document.hidden) return;
    if (root.dataset.events) connect();
    else schedule();
  }

  function connect() {
    const mine = turn;
    stream = new EventSource(root.dataset.events);
    stream.onmessage = (event) => {
      isLost(false);
      show(event);
    };
    stream.onerror = () => {
      isLost(true);
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(() => ask(mine), patience); // it was refused
    };
  }

  // ask finds out whether the page may still be seen, and else goes to the login.
  async function ask(mine) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (mine === turn && answer.redirected) return location.reload();
    } catch { /* nobody answers yet */ }
    if (mine === turn) begin();
  }

  function schedule() {
    const mine = turn, after = Number(root.dataset.refresh);
    if (after) timer = setTimeout(() => refresh(mine), after);
  }

  // refresh reads the page anew, unless somebody is about to do something.
  async function refresh(mine) {
    try {
      if (!document.querySelector(":popover-open")) await renew(mine);
    } catch {
      if (mine === turn) isLost(true);
    }
    if (mine === turn) schedule();
  }

  async function renew(mine) {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    if (mine !== turn || document.querySelector(":popover-open")) return;
    isLost(false);
    if (answer.redirected) return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(text, "text/html");
    root.dataset.refresh = page.documentElement.dataset.refresh || 0;
    document.title = page.title;
    wear(page.documentElement.dataset.tone);
    tellAll(page);
    morph(document.getElementById("main"), page.getElementById("main"));
  }

  document.addEventListener("visibilitychange", begin);

  // A form with data-done is sent without leaving the page; what it says then is
  // data-done, in which {field} stands for a field of the answer.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.dataset.done) return;
    event.preventDefault();
    const button = event.submitter;
    const body = new URLSearchParams(new FormData(form, button));
    if (button) button.disabled = button.dataset.waits = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      const text = await answer.text();
      if (!answer.ok) return say(text.trim() || answer.statusText, true);
      const fields = JSON.parse(text);
      say(form.dataset.done.replace(/{(\w+)}/g, (_, name) => fields[name]), false);
      const open = form.closest("[popover]");
      if (open) open.hidePopover();
    } catch {
      say("Nobody answered: look whether it was done before you try again.", true);
    } finally {
      if (button && button.dataset.waits) { // else the server has said meanwhile whether it can be pressed
        button.disabled = false;
        delete button.dataset.waits;
        if (document.activeElement === document.body) button.focus(); // it lost the focus as it was disabled
      }
    }
  });

  let silence = 0;
  function say(text, bad) {
    clearTimeout(silence);
    notice.textContent = text;
    notice.className = bad ? "bad" : "good";
    if (!bad) silence = setTimeout(() => { notice.textContent = ""; }, 6000);
  }

  setInterval(() => tellAll(document), 1000);
  begin();
})();
