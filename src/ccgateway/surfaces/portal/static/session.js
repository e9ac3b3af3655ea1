// Who uses the pages, and the theme: the right end of the page's head.

import { keepToken, request, token } from "./api.js";
import { announce, el, field, root, theirs } from "./dom.js";

/** Reads who is signed in. Without the server's part of signing in, a token can be pasted. */
export async function readSession() {
  const response = await request("/portal/session");
  if (!response.ok) return { signedIn: false, user: null, roles: [], expires: null, signIn: null, pasteToken: true, open: null };
  return response.json();
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

/** Draws the head's right end; `changed` is called once somebody else uses the page. */
export function drawSession(session, changed) {
  const parts = [];
  if (session.signedIn) {
    parts.push(el("span", { class: "who", title: session.roles.join(", ") }, theirs(session.user, 60)));
    parts.push(el("button", { type: "button", class: "quiet", onclick: async () => {
      await request("/portal/signout", { method: "POST" });
      announce("Signed out");
      changed();
    } }, "Sign out"));
  } else if (token()) {
    parts.push(el("button", { type: "button", class: "quiet", onclick: () => { keepToken(null); changed(); } }, "Forget token"));
  } else if (!session.open) {
    if (session.signIn) {
      const next = encodeURIComponent(location.pathname.slice(root.length) + location.search);
      parts.push(el("a", { class: "button primary", href: `${root}${session.signIn}?next=${next}`, data: { whole: "" } }, "Sign in"));
    }
    if (session.pasteToken) parts.push(el("button", { type: "button", class: "quiet", onclick: () => tokenDialog(changed) }, "Use a token"));
  }
  document.getElementById("session").replaceChildren(...parts, themeButton());
}
