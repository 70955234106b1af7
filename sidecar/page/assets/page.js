// Replaces the page's content every two seconds, keeping what the reader has opened; says so when the sidecar is gone.
"use strict";
const EVERY_MS = 2000;
let seen = Date.now();

async function refresh() {
  const reply = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!reply.ok) throw new Error(`${reply.status}`);
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("live");
  const live = document.getElementById("live");
  for (const open of live.querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  const focused = document.activeElement?.closest("details[id]")?.id;
  live.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.querySelector("summary")?.focus({ preventScroll: true });
}

async function tick() {
  // A selection would be lost, and nobody sees a hidden page.
  const busy = document.hidden || !window.getSelection().isCollapsed;
  try {
    if (!busy) {
      await refresh();
      seen = Date.now();
    }
  } catch {
    const stale = document.getElementById("stale");
    stale.hidden = false;
    stale.textContent = `no answer from the sidecar for ${Math.round((Date.now() - seen) / 1000)} s`;
  }
  setTimeout(tick, EVERY_MS);
}

setTimeout(tick, EVERY_MS);
