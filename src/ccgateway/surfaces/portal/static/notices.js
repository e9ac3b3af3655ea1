// What a page says beside its content: loading, empty, partial, failed.

import { Trouble } from "./api.js";
import { el, link, theirs } from "./dom.js";
import { number } from "./format.js";

const REMEDIES = {
  UNAUTHENTICATED: "Your session is over, or you have not signed in yet. Sign in at the top of the page.",
  FORBIDDEN: "You may not do that here. Ask those who run the gateway if you should.",
  NO_CREDENTIAL: "The gateway has no account of yours at that site. Ask those who run the gateway for one.",
  NOT_FOUND: "Look at its number again, or find it in the list of jobs. A site hides jobs that you may not see.",
  SCAN_BUDGET: "Narrow the filter, for example to a shorter time or fewer sites.",
  LIMIT_EXCEEDED: "Ask for less at once: a shorter time, or fewer sites.",
  INVALID_CURSOR: "Load the list again.",
  READ_ONLY: "Nothing can be changed at this site by way of the gateway.",
  UNSUPPORTED: "The site's release cannot do that. Nothing you do here changes it.",
  SITE_UNAUTHORIZED: "The site does not let the gateway do that for you. Ask those who run the site.",
  RATE_LIMITED: "You have much under way already. Wait a little, then try again.",
  BAD_REQUEST: "Look at the address and at what you have filled in.",
  OFFLINE: "Look whether your network works, then try again.",
};
const LATER = "Try again a little later; tell those who run the gateway if it stays.";

/** What to do about an error. */
export const remedy = (code, retryable) => REMEDIES[code] ?? (retryable === false ? "Tell those who run the gateway if it stays." : LATER);

/** One error in a box of its own: what, its code, what to do, and `again` where that may help. */
export function failure(error, again) {
  if (!(error instanceof Trouble)) console.error(error);
  const code = error instanceof Trouble ? error.code : "INTERNAL";
  const message = error instanceof Trouble ? error.message : "These pages made a mistake.";
  return el(
    "div", { class: "notice bad", role: "alert", data: { code } },
    el("p", {}, el("strong", {}, theirs(message, 500)), " ", el("code", {}, code)),
    el("p", {}, remedy(code, error.entries?.[0]?.extensions?.retryable)),
    again ? el("button", { type: "button", onclick: again }, "Try again") : null,
  );
}

/** What is said above a page whose content cannot be read again for now. */
export function stale(error) {
  const since = new Date().toLocaleTimeString();
  return el("div", { class: "notice partial", role: "status", data: { code: error.code ?? "INTERNAL" } },
    el("p", {}, el("strong", {}, `What is shown may be old: since ${since} it cannot be read again.`), " ", theirs(error.message, 300), " ", el("code", {}, error.code ?? "INTERNAL"), " It is tried again all the time."));
}

/** The banner that says which sites are missing from an answer; null if none is. */
export function missing(reports, errors = [], title = "This is not everything.") {
  const lacking = (reports ?? []).filter((report) => report.status === "FAILED" || report.status === "PARTIAL");
  const known = new Set(lacking.map((report) => report.site));
  const others = errors.filter((error) => error.extensions?.site && !known.has(error.extensions.site));
  const all = [
    ...lacking.map(({ site, status, code, message, retryable }) => ({ site, what: status === "FAILED" ? "is missing" : "is not complete", code, message, retryable })),
    ...others.map(({ message, extensions: { site, code, retryable } }) => ({ site, what: "is missing in part", code, message, retryable })),
  ];
  if (!all.length) return null;
  return el(
    "div", { class: "notice partial", role: "status" },
    el("p", {}, el("strong", {}, title)),
    el("ul", {}, all.slice(0, 20).map((one) =>
      el("li", {}, theirs(one.site), ` ${one.what}: `, theirs(one.message, 300), " ", el("code", {}, one.code ?? "?"), ` ${remedy(one.code, one.retryable)}`))),
    link("/sites", "How the sites are"),
  );
}

/** The banner that says what of an address does not count; null if all of it does. */
export function overlooked(parts) {
  if (!parts.length) return null;
  return el("div", { class: "notice partial", role: "status", data: { code: "BAD_REQUEST" } },
    el("p", {}, el("strong", {}, "Part of the address was not understood, and is left out: "), parts.slice(0, 10).flatMap((part, at) => [at ? ", " : "", el("code", {}, theirs(part, 60))])));
}

/** Grey lines where content will be; says what is waited for once that takes long. */
export function loading(lines, waitingFor) {
  const note = el("p", { class: "waiting", role: "status" });
  const box = el("div", { class: "loading", "aria-busy": "true" }, note, Array.from({ length: lines }, () => el("div", { class: "bone" })));
  const begun = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - begun) / 1000);
    if (!box.isConnected) clearInterval(timer);
    else if (seconds >= 2) note.textContent = `Still waiting for ${waitingFor}: ${number(seconds)} s so far. A site that does not answer is left out in the end.`;
  }, 1000);
  return box;
}

/** Where there is nothing to show. */
export function empty(text, hint) {
  return el("div", { class: "empty" }, el("p", {}, el("strong", {}, text)), hint ? el("p", {}, hint) : null);
}
