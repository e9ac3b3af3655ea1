// Elements. All text of sites goes through here: as text, never as markup, and without characters that change what stands around it.

const LONGEST = 2000;
// controls but tab and line ends, and what turns the direction of text or hides
const UNSAFE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Text of others, fit to be shown: controls are replaced, and what is over-long is cut, saying so. */
export function clean(text, longest = LONGEST) {
  const all = String(text ?? "");
  const shown = all.slice(0, longest).replace(UNSAFE, "\ufffd");
  return all.length > longest ? `${shown}… (${all.length - longest} more characters)` : shown;
}

/** Text of others as an element whose direction is its own. */
export function theirs(text, longest) {
  return el("bdi", {}, clean(text, longest));
}

/** An element. `on…` are listeners, `data` its data attributes, other props attributes; `null` and `false` leave one out. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An element of a drawing. */
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A labelled field of a form. */
export function field(label, control, hint) {
  return el("label", { class: "field" }, el("span", {}, label, hint ? el("small", {}, ` ${hint}`) : null), control);
}

/** A select of `[value, text]` pairs. */
export function select(name, options, value, props = {}) {
  const made = el("select", { name, ...props }, options.map(([one, text]) => el("option", { value: one }, clean(text, 80))));
  made.value = value ?? options[0]?.[0];
  return made;
}

/** Says something to those who listen to the page. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

export const root = document.documentElement.dataset.root;

/** A link to another page. */
export function link(path, ...children) {
  return el("a", { href: root + path }, children);
}
