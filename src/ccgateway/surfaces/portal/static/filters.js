// The filter of a list: as an address, as a form, and as the GraphQL interface takes it.

import { el, field, select } from "./dom.js";
import { parseDuration } from "./format.js";

export const STATES = [
  "running", "completed", "failed", "timeout", "cancelled", "out_of_memory", "node_fail", "preempted",
  "stopped", "suspended", "pending", "deadline", "boot_fail",
];
const PRESETS = [["", "Any time"], ["last6h", "Last 6 hours"], ["last24h", "Last 24 hours"], ["last7d", "Last 7 days"], ["last30d", "Last 30 days"], ["own", "From … to"]];
const TEXTS = { user: "user", project: "project", jobName: "jobName", node: "node", cluster: "cluster" };
export const ORDERS = { startTime: "Start", duration: "Duration", numNodes: "Nodes", numHWThreads: "Threads", numAcc: "Accelerators", energy: "Energy" };

/** Text with `=` before it is meant exactly, `a*` begins, else it is somewhere in it; a cluster's name is exact. */
function textFilter(name, value) {
  if (name === "cluster") return { eq: value };
  if (value.startsWith("=")) return { eq: value.slice(1) };
  if (value.endsWith("*")) return { startsWith: value.slice(0, -1) };
  return { contains: value };
}

function whole(params, name, read) {
  const value = read(params.get(name));
  return Number.isFinite(value) && value > 0 ? value : null;
}

const toNumber = (text) => (/^\d+$/.test(text ?? "") ? Number(text) : null);

/** A time as the form and the address have it (the viewer's zone, or with one of its own) as the interface takes it. */
export function instant(text) {
  const date = new Date(text ?? "");
  return Number.isNaN(date.getTime()) ? null : `${date.toISOString().slice(0, 19)}Z`;
}

/** The variables `filter`, `sites` and `order` of an address's parameters. */
export function variablesOf(params) {
  const filter = {};
  for (const [name, key] of Object.entries(TEXTS)) if (params.get(name)) filter[key] = textFilter(name, params.get(name));
  const states = params.getAll("state").filter((state) => STATES.includes(state));
  if (states.length) filter.state = states;
  const tags = params.getAll("tag").filter(Boolean);
  if (tags.length) filter.tags = tags;
  const time = params.get("time");
  const [from, to] = [instant(params.get("from")), instant(params.get("to"))];
  if (from || to) filter.startTime = { from, to };
  else if (time && time !== "own") filter.startTime = { range: time };
  for (const [key, short, read] of [["numNodes", "nodes", toNumber], ["duration", "length", parseDuration]]) {
    const range = { from: whole(params, `${short}From`, read), to: whole(params, `${short}To`, read) };
    if (range.from !== null || range.to !== null) filter[key] = range;
  }
  const sites = params.getAll("site").filter(Boolean);
  const field = Object.hasOwn(ORDERS, params.get("order")) ? params.get("order") : "startTime";
  const order = { field, order: params.get("dir") === "asc" ? "ASC" : "DESC" };
  const isUsual = field === "startTime" && order.order === "DESC";
  return { filter: Object.keys(filter).length ? [filter] : null, sites: sites.length ? sites : null, order: isUsual ? null : order };
}

const READABLE = {
  state: (text) => STATES.includes(text),
  time: (text) => PRESETS.some(([one]) => one === text),
  from: instant, to: instant, nodesFrom: toNumber, nodesTo: toNumber, lengthFrom: parseDuration, lengthTo: parseDuration,
  order: (text) => Object.hasOwn(ORDERS, text),
  dir: (text) => text === "asc" || text === "desc",
};

/** What an address says that does not count, as `name=value`: what cannot be read, and what is there more often than it can be. */
export function unread(params) {
  const seen = new Set();
  return [...params].filter(([name, value]) => {
    const isOver = seen.has(name) && !["state", "tag", "site"].includes(name);
    seen.add(name);
    if (!value) return false;
    if (Object.hasOwn(READABLE, name)) return isOver || !READABLE[name](value);
    return isOver || !(Object.hasOwn(TEXTS, name) || name === "tag" || name === "site");
  }).map(([name, value]) => `${name}=${value}`);
}

/** The parameters that a form stands for; what is empty is left out. Times are named with their zone: a link means the same anywhere. */
export function paramsOf(form, kept) {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const text = String(value).trim();
    const isTime = name === "from" || name === "to";
    if (text && !(name === "time" && value === "own")) params.append(name, isTime ? (instant(text) ?? text) : text);
  }
  for (const name of kept) if (form.dataset[name]) params.set(name, form.dataset[name]);
  return params;
}

function localInput(name, value) {
  // an address may hold a time with a zone, which the input shows in the viewer's
  const date = new Date(value ?? "");
  const text = Number.isNaN(date.getTime()) ? "" : new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  return el("input", { type: "datetime-local", name, value: text });
}

/** The two fields of a time range, shown where that is chosen, and the select before them. */
export function timeFields(params) {
  const own = params.get("from") || params.get("to");
  const preset = select("time", PRESETS, own ? "own" : PRESETS.some(([one]) => one === params.get("time")) ? params.get("time") : "");
  const range = el("div", { class: "fields pair", hidden: preset.value !== "own" }, field("From", localInput("from", params.get("from"))), field("To", localInput("to", params.get("to"))));
  preset.addEventListener("change", () => {
    range.hidden = preset.value !== "own";
    if (range.hidden) for (const input of range.querySelectorAll("input")) input.value = "";
  });
  return [field("Started", preset), range];
}

/** The form of a filter; `changed` gets the new parameters. `sites`, `clusters`: names; `tags`: of all sites. */
export function filterForm(params, { sites, clusters, tags }, changed) {
  const text = (name, label, hint) => field(label, el("input", { name, value: params.get(name) ?? "", autocomplete: "off", spellcheck: "false", placeholder: hint }));
  const number = (name, label, hint) => field(label, el("input", { name, value: params.get(name) ?? "", inputmode: hint ? "text" : "numeric", placeholder: hint ?? "", pattern: hint ? "\\s*\\d+(\\.\\d+)?\\s*[smhd]?\\s*" : "\\d+", title: hint ? "A number with s, m, h or d" : "A whole number" }));
  const withChosen = (values, chosen) => [...new Set([...values, ...chosen])];
  const box = (name, value) => {
    const input = el("input", { type: "checkbox", name, value, checked: params.getAll(name).includes(value) });
    return el("label", { class: "chip" }, input, el("span", {}, value.replaceAll("_", " ")));
  };
  const more = ["node", "jobName", "nodesFrom", "nodesTo", "lengthFrom", "lengthTo", "tag"].some((name) => params.get(name));
  const form = el(
    "form", { class: "filters card", "aria-label": "Filter", onsubmit: (event) => { event.preventDefault(); changed(paramsOf(form, ["order", "dir"])); } },
    el("div", { class: "fields" },
      text("user", "User", "part or =exact"), text("project", "Project", "part or =exact"),
      field("Cluster", select("cluster", [["", "All clusters"], ...withChosen(clusters, params.getAll("cluster")).map((one) => [one, one])], params.get("cluster") ?? "")),
      timeFields(params)),
    el("fieldset", { class: "chips" }, el("legend", {}, "Sites"), withChosen(sites, params.getAll("site")).map((one) => box("site", one))),
    el("fieldset", { class: "chips" }, el("legend", {}, "States"), withChosen(STATES.slice(0, 9), params.getAll("state")).map((one) => box("state", one))),
    el("details", { open: more }, el("summary", {}, "More"),
      el("div", { class: "fields" },
        text("jobName", "Job name", "part of it"), text("node", "Host", "part or =exact"),
        field("Tag", select("tag", [["", "Any"], ...tags.map((tag) => [tag.id, `${tag.type}: ${tag.name}${tag.scope === "global" ? "" : ` (${tag.scope})`}`])], params.get("tag") ?? "")),
        number("nodesFrom", "Nodes from"), number("nodesTo", "Nodes to"),
        number("lengthFrom", "Ran at least", "such as 2h"), number("lengthTo", "Ran at most", "such as 1d"))),
    el("div", { class: "buttons" },
      el("button", { type: "submit", class: "primary" }, "Show"),
      el("button", { type: "button", class: "quiet", onclick: () => changed(new URLSearchParams()) }, "Clear")),
  );
  for (const name of ["order", "dir"]) if (params.get(name)) form.dataset[name] = params.get(name);
  form.addEventListener("change", (event) => {
    if (event.target.value !== "own" && form.reportValidity()) changed(paramsOf(form, ["order", "dir"]));
  });
  return form;
}
