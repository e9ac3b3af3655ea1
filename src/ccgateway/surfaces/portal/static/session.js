// Who uses the pages, and the theme: the right end of the page's head.

import { keepToken, request, token } from "./api.js";
import { announce, el, field, root, theirs } from "./dom.js";

/** Reads who is signed in. Without the server's part of signing in, a token can be pasted. */
export async function readSession() {
  const response = await request("/portal/session");
  if (!response.ok) return { signedIn: false, user: null, roles: [], expires: null, signIn: null, pasteToken: true, open: null };
  return response.json();
}

/** Whether somebody who was signed in is so no more. */
export async function isOver() {
  const response = await request("/portal/session");
  return response.ok && !(await response.json()).signedIn;
}

/** Whether buttons for administrators are worth showing: roles that are not known may suffice. */
export const mayAdminister = (session) =>
  session.open !== false || token() !== null || session.roles.some((role) => role === "admin" || role === "api");

function tokenDialog(done) {
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const dialog = el(
    "dialog", { "aria-labelledby": "token-title", onclose: () => dialog.remove() },
    el("form", { method: "dialog", onsubmit: () => { keepToken(input.value.trim()); done(); } },
      el("h2", { id: "token-title" }, "Use a token"),
      el("p", {}, "It is kept for this tab only, and forgotten when you close it."),
      field("Token", input),
      el("div", { class: "buttons" },
        el("button", { type: "submit", class: "primary" }, "Use it"),
        el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function themeButton() {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const button = el("button", { type: "button", class: "quiet icon", id: "theme" });
  const name = () => {
    button.textContent = dark() ? "☀" : "☾";
    button.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
    button.title = button.getAttribute("aria-label");
  };
  button.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("theme", chosen);
    name();
    document.dispatchEvent(new CustomEvent("theme"));
  });
  name();
  return button;
}

/** What can be done to say who one is; what leads away leads back to the page that is shown then. */
function waysIn(session, changed) {
  const signIn = (event) => {
    const next = encodeURIComponent(location.pathname.slice(root.length) + location.search);
    event.currentTarget.href = `${root}${session.signIn}?next=${next}`;
  };
  return [
    session.signIn ? el("a", { class: "button primary", href: root + session.signIn, onclick: signIn, data: { whole: "" } }, "Sign in") : null,
    session.pasteToken ? el("button", { type: "button", class: "quiet", onclick: () => tokenDialog(changed) }, "Use a token") : null,
  ].filter(Boolean);
}

/** What is shown in place of any page to those of whom nothing is known. */
export function askToSignIn(session, changed) {
  return el("div", { class: "empty welcome" }, el("h1", {}, "Jobs of all sites"),
    el("p", {}, "Sign in to see them: you will see here what you may see at each site."),
    el("div", { class: "buttons" }, waysIn(session, changed)));
}

/** What is said above a page once who looked at it is not known any more. `before`: who that was. */
export function sessionOver(before, session, changed) {
  const what = token() ? "Your token is not accepted (any more)." : before.signedIn ? "Your session is over." : "You are not signed in.";
  return el("div", { class: "notice bad over", role: "alert", data: { code: "UNAUTHENTICATED" } },
    el("p", {}, el("strong", {}, what), " ", el("code", {}, "UNAUTHENTICATED")),
    el("p", {}, "What is shown stays as it was. You come back to this very page, its filters included."),
    el("div", { class: "buttons" }, waysIn(session, changed)));
}

/** Draws the head's right end; `changed` is called once somebody else uses the page. */
export function drawSession(session, changed) {
  const parts = [];
  if (session.signedIn) {
    parts.push(el("span", { class: "caller", title: session.roles.join(", ") }, theirs(session.user, 60)));
    parts.push(el("button", { type: "button", class: "quiet", onclick: async () => {
      const response = await request("/portal/signout", { method: "POST" }).catch((error) => ({ ok: false, why: error.message }));
      if (response.ok) {
        announce("Signed out");
        changed();
      } else {
        // else somebody would leave the machine and still be signed in
        const why = response.why ?? `The gateway answered with status ${response.status}.`;
        document.getElementById("state").replaceChildren(el("div", { class: "notice bad", role: "alert" },
          el("p", {}, el("strong", {}, "You are still signed in."), ` ${why} Try again, or close the browser.`)));
      }
    } }, "Sign out"));
  } else if (token()) {
    if (session.user) parts.push(el("span", { class: "caller", title: session.roles.join(", ") }, theirs(session.user, 60)));
    parts.push(el("button", { type: "button", class: "quiet", onclick: () => { keepToken(null); changed(); } }, "Forget token"));
  } else if (!session.open) parts.push(...waysIn(session, changed));
  document.getElementById("session").replaceChildren(...parts, themeButton());
}
