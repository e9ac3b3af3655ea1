// Numbers, durations and times, as people read them.

import { el } from "./dom.js";

const THIN = "\u202f";
const PREFIXES = { "": 1, K: 1e3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, m: 1e-3, u: 1e-6, n: 1e-9 };

/** A number with thin spaces between its thousands; a dash for none. */
export function number(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const [whole, part] = (Number.isInteger(value) ? String(value) : value.toFixed(digits)).split(".");
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, THIN) + (part ? `.${part}` : "");
}

/** A unit such as `GB/s`. */
export function unitText(unit) {
  return unit ? `${unit.prefix ?? ""}${unit.base}` : "";
}

/** What the prefix of a unit multiplies by. */
export function factor(unit) {
  return PREFIXES[unit?.prefix ?? ""] ?? 1;
}

/** Seconds as `2 d 3 h`, `3 h 07 min`, `42 s`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d) return `${number(d)}${THIN}d ${h}${THIN}h`;
  if (h) return `${h}${THIN}h ${String(m).padStart(2, "0")}${THIN}min`;
  return m ? `${m}${THIN}min` : `${s}${THIN}s`;
}

/** Seconds of a text such as `90`, `90s`, `15m`, `2h` or `1d`; null for any other. */
export function parseDuration(text) {
  const found = /^\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*$/.exec(text ?? "");
  return found ? Math.round(Number(found[1]) * { "": 1, s: 1, m: 60, h: 3600, d: 86400 }[found[2]]) : null;
}

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time in the viewer's zone; hovering shows it in UTC. */
export function time(iso) {
  if (!iso) return "–";
  return el("time", { datetime: iso, title: `${iso.replace("T", " ").replace("Z", "")} UTC` }, LOCAL.format(new Date(iso)));
}

/** How long ago that was. */
export function ago(iso) {
  return duration(Math.max(0, (Date.now() - new Date(iso)) / 1000));
}

/** One word or several of a kind. */
export function count(n, word) {
  return `${number(n)} ${word}${n === 1 ? "" : "s"}`;
}
