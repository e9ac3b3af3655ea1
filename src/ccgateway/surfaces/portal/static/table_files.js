// Files of what is shown: CSV that no spreadsheet takes for formulas, and JSON.

import { el } from "./dom.js";

const cell = (value) => {
  let text = value === null || value === undefined ? "" : String(value);
  // a spreadsheet would compute it; numbers are what they are
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** The text of a CSV file (RFC 4180). */
export function csvText(head, rows) {
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export const saveCsv = (name, head, rows) => save(name, "text/csv;charset=utf-8", csvText(head, rows));
export const saveJson = (name, value) => save(name, "application/json", JSON.stringify(value, null, 2));

/** A button that saves what `read` gives when it is pressed. */
export function csvButton(label, name, read) {
  return el("button", { type: "button", class: "quiet", onclick: () => saveCsv(name, ...read()) }, label);
}
