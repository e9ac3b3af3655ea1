// Which page is shown, and going from one to another without loading everything anew.

import { token } from "./api.js";
import { el, root } from "./dom.js";
import { failure, stale } from "./notices.js";
import { every } from "./repeating.js";
import { askToSignIn, drawSession, isOver, readSession, sessionOver } from "./session.js";

const PAGES = [
  [/^\/sites\/?$/, "Sites", () => import("./sites.js")],
  [/^\/jobs\/?$/, "Jobs", () => import("./jobs.js")],
  [/^\/job\/([^/]+)\/?$/, "Job", () => import("./job.js")],
  [/^\/usage\/?$/, "Usage", () => import("./usage.js")],
];
const main = document.getElementById("page");
const state = document.getElementById("state");
let leaving = new AbortController();
let session = null;

/** A part of an address as text; what is not encoded as it should be stays as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Shows the page of the address. What the one before had under way ends. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  // a question that was asked on one page is not answered on another
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const { signal } = leaving;
  const path = location.pathname.slice(root.length);
  for (const anchor of document.querySelectorAll("header nav a")) {
    const own = anchor.pathname === location.pathname || (anchor.textContent === "Jobs" && path.startsWith("/job/"));
    if (own) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  const [pattern, title, load] = PAGES.find(([one]) => one.test(path)) ?? PAGES[0];
  document.title = `${title} · ClusterCockpit gateway`;
  state.replaceChildren();
  if (session.open === false && !session.signedIn && !token()) return main.replaceChildren(askToSignIn(session, begin));
  try {
    const page = await load();
    if (signal.aborted) return;
    main.replaceChildren();
    await page.show(main, { signal, session, argument: decoded(pattern.exec(path)?.[1] ?? "") });
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(el("h1", {}, title), failure(error, () => show()));
  }
}

/** Goes to another page of the portal. */
export function go(path) {
  history.replaceState({ ...history.state, scroll: scrollY }, "");
  history.pushState({}, "", root + path);
  const shown = show(); // the page that is left notes how far it was scrolled
  scrollTo(0, 0);
  shown.then(() => main.focus({ preventScroll: true }));
}

async function begin() {
  try {
    session = await readSession();
  } catch {
    session = { signedIn: false, user: null, roles: [], signIn: null, pasteToken: false, open: true };
  }
  drawSession(session, begin);
  await show();
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (anchor.origin !== location.origin || anchor.target || anchor.hasAttribute("download") || "whole" in anchor.dataset) return;
  const path = anchor.pathname.slice(root.length);
  if (anchor.hash || !anchor.pathname.startsWith(root) || !PAGES.some(([one]) => one.test(path))) return;
  event.preventDefault();
  go(path + anchor.search);
});
addEventListener("popstate", show);
document.addEventListener("unauthenticated", async () => {
  const before = session;
  session = await readSession().catch(() => session);
  drawSession(session, begin);
  // the page stays as it is: whoever signs in again comes back to it
  if (!session.signedIn) state.replaceChildren(sessionOver(before, session, begin));
});
document.addEventListener("stale", ({ detail: error }) => {
  if (state.querySelector(".over")) return;
  state.replaceChildren(error ? stale(error) : "");
});
// a page that asks for nothing would not notice it
every(60, new AbortController().signal, async () => {
  if (session?.signedIn && (await isOver())) document.dispatchEvent(new CustomEvent("unauthenticated"));
});
begin();
