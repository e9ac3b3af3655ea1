// What was used, by user, project, cluster or site.

import { ask } from "./api.js";
import { el, field, link, root, select, theirs } from "./dom.js";
import { MOST_JOBS, energyBy, energyCell } from "./energy.js";
import { instant } from "./filters.js";
import { number } from "./format.js";
import { empty, failure, loading, missing } from "./notices.js";
import { histogram } from "./histogram.js";
import { csvButton } from "./table_files.js";

const FIGURES = [
  ["totalJobs", "Jobs"], ["totalUsers", "Users"], ["totalWalltime", "Walltime h"], ["totalNodeHours", "Node h"],
  ["totalCoreHours", "Core h"], ["totalAccHours", "Acc. h"],
];
const NAMES = FIGURES.map(([name]) => name).join(" ");
const REPORT = "exactness { figure quality atLeast atMost reason } complete sites { site status code message retryable }";
const GROUPS = `query Usage($filter: [JobFilter!], $sites: [String!], $by: Aggregate, $sort: SortByAggregate, $exact: Boolean!) {
  groups: jobsStatistics(filter: $filter, sites: $sites, groupBy: $by, sortBy: $sort, exact: $exact) { id name ${NAMES} ${REPORT} }
  all: jobsStatistics(filter: $filter, sites: $sites, exact: $exact) { ${NAMES} ${REPORT} } }`;
const HISTOGRAMS = `query Histograms($filter: [JobFilter!], $sites: [String!], $metrics: [String!], $bins: String) {
  jobsStatistics(filter: $filter, sites: $sites, metrics: $metrics, numDurationBins: $bins) {
    histDuration { count value } histDurationOverflow histNumNodes { count value }
    histMetrics { metric unit stat data { count min max } } exactness { figure quality reason } complete } }`;
const BY = { USER: "user", PROJECT: "project", CLUSTER: "cluster", SUBCLUSTER: "sub-cluster", SITE: "site" };
const SHOWN = 500;

const monthOf = (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}`;

/** The first and the last second that an address means, in the viewer's zone: a month, or any range. */
function rangeOf(params) {
  const [from, to] = [instant(params.get("from")), instant(params.get("to"))];
  if (from || to) return { from, to };
  const month = /^\d{4}-\d{2}$/.test(params.get("month") ?? "") ? params.get("month") : monthOf(new Date());
  const [year, at] = month.split("-").map(Number);
  return { from: instant(new Date(year, at - 1, 1)), to: instant(new Date(new Date(year, at, 1) - 1000)) };
}

/** A figure with what is known of how true it is: `≈` and the ends, or a dash and why. */
function figure(element, name) {
  const known = element.exactness.find((one) => one.figure === name);
  const value = element[name];
  if (value === null) return el("td", { class: "num", title: known?.reason }, "–", el("span", { class: "hidden" }, ` cannot be had: ${known?.reason ?? ""}`));
  if (!known || known.quality === "EXACT" || known.atLeast === known.atMost) return el("td", { class: "num", data: { quality: "EXACT" } }, number(value));
  const text = `between ${number(known.atLeast)} and ${number(known.atMost)}`;
  return el("td", { class: "num", data: { quality: known.quality }, title: `${text}. ${known.reason ?? ""}` }, el("abbr", { class: "about", title: text }, "≈"), ` ${number(value)}`);
}

function controls(params, changed) {
  const range = params.get("from") || params.get("to");
  const month = el("input", { type: "month", name: "month", value: range ? "" : params.get("month") ?? monthOf(new Date()) });
  const date = (name) => el("input", { type: "date", name, value: (params.get(name) ?? "").slice(0, 10) });
  const [from, to] = [date("from"), date("to")];
  const by = select("by", Object.entries(BY).map(([value, text]) => [value, text]), params.get("by") ?? "PROJECT");
  const exact = el("input", { type: "checkbox", name: "exact", value: "yes", checked: params.get("exact") === "yes" });
  const read = () => {
    const next = new URLSearchParams({ by: by.value });
    if (from.value || to.value) {
      if (from.value) next.set("from", `${from.value}T00:00:00`);
      if (to.value) next.set("to", `${to.value}T23:59:59`);
    } else if (month.value) next.set("month", month.value);
    if (exact.checked) next.set("exact", "yes");
    changed(next);
  };
  month.addEventListener("change", () => { from.value = to.value = ""; });
  return el("form", { class: "card filters", "aria-label": "What to add up", onsubmit: (event) => { event.preventDefault(); read(); }, onchange: read },
    el("div", { class: "fields" }, field("By", by), field("Month", month), field("or from", from), field("to", to)),
    el("label", { class: "chip" }, exact, el("span", {}, "Count from jobs what adding up does not give exactly")));
}

const jobsLink = (by, id, { from, to }) => {
  const params = new URLSearchParams();
  if (from) params.set("from", from);
  if (to) params.set("to", to);
  if (by === "SITE") params.set("site", id);
  else if (by === "CLUSTER") params.set("cluster", id);
  else if (by !== "SUBCLUSTER") params.set(by.toLowerCase(), `=${id}`);
  return `/jobs?${params}`;
};

export async function show(main, { signal }) {
  const params = new URLSearchParams(location.search);
  const by = Object.hasOwn(BY, params.get("by")) ? params.get("by") : "PROJECT";
  const range = rangeOf(params);
  const filter = [{ startTime: range }];
  const lead = el("p", { class: "lead" }, " ");
  const banner = el("div", { id: "banner" }), content = el("div"), drawings = el("div", { class: "charts" });
  const waiting = loading(8, "the sites to add up");
  const changed = (next) => {
    history.pushState({}, "", `${root}/usage?${next}`);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  main.append(el("div", { class: "title" }, el("h1", {}, "Usage"), lead), controls(params, changed), banner, waiting, content, drawings);

  async function read() {
    const sort = by === "SITE" ? "TOTALNODEHOURS" : "TOTALCOREHOURS";
    const answer = await ask(GROUPS, { filter, by, sort, exact: params.get("exact") === "yes" }, signal);
    const { groups, all: [all] } = answer.data;
    banner.replaceChildren(missing(all?.sites ?? groups[0]?.sites, answer.errors) ?? "");
    lead.textContent = all ? `${number(all.totalJobs)} jobs that started in that time` : "";
    if (!groups.length) return content.replaceChildren(empty("No job started in that time.", "Choose another month, or a longer time."));
    let sums = null; // of energy, once they are read
    const rows = () => groups.map((one) => [one.id, one.name, ...FIGURES.map(([name]) => one[name]), sums?.get(one.id)?.known ? sums.get(one.id).kWh : null,
      ...FIGURES.map(([name]) => one.exactness.find((known) => known.figure === name)?.quality ?? ""), sums?.get(one.id)?.known ?? null]);
    const head = [BY[by], "name", ...FIGURES.map(([name]) => name), "energy", ...FIGURES.map(([name]) => `${name} quality`), "energy jobs"];
    const waits = () => el("td", { class: "num kwh muted" }, "…");
    const energyNote = el("p", { class: "muted" });
    const energyHead = el("th", { scope: "col", class: "num" }, "Energy kWh");
    content.replaceChildren(el("section", { class: "card" },
      el("div", { class: "title" }, el("h2", {}, `By ${BY[by]}`), csvButton("CSV", `usage-by-${BY[by]}.csv`, () => [head, rows()])),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Usage" }, el("table", { class: "usage" },
        el("caption", { class: "hidden" }, `Usage by ${BY[by]}`),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, BY[by][0].toUpperCase() + BY[by].slice(1)), FIGURES.map(([, label]) => el("th", { scope: "col", class: "num" }, label)), energyHead)),
        el("tbody", {}, groups.slice(0, SHOWN).map((one) => el("tr", { data: { id: one.id } },
          el("th", { scope: "row" }, by === "SUBCLUSTER" ? theirs(one.id, 60) : link(jobsLink(by, one.id, range), theirs(one.id || "(none)", 60)), one.name ? el("small", {}, theirs(one.name, 60)) : null),
          FIGURES.map(([name]) => figure(one, name)), waits()))),
        all ? el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "All"), FIGURES.map(([name]) => figure(all, name)), waits())) : null)),
      groups.length > SHOWN ? el("p", { class: "muted" }, `${number(groups.length - SHOWN)} more are in the CSV.`) : null,
      el("p", { class: "muted" }, "≈ marks a figure that may be off by a little: hover to see by how much. ≥ marks an energy that is not known of all jobs. A job counts where it started, with all its hours."),
      energyNote));
    fillEnergy(all?.totalJobs ?? Infinity, energyHead, energyNote).then((found) => { sums = found; });
  }

  /** Fills the column of energy in its own time; its sums, if they could be had. */
  async function fillEnergy(total, heading, note) {
    const table = content.querySelector("table.usage");
    const fill = (sums, why) => {
      note.textContent = why ? `There is no energy. ${why}` : "";
      for (const cell of table.querySelectorAll("td.kwh")) cell.replaceWith(energyCell(sums?.get(cell.parentNode.dataset.id ?? null), why));
    };
    if (total > MOST_JOBS) {
      fill(null, `It is added up from jobs, here from ${number(MOST_JOBS)} at most: choose a shorter time, or export the usage.`);
      return null;
    }
    try {
      const sums = await energyBy(by, filter, signal, (jobs) => { heading.title = `read from ${number(jobs)} jobs`; });
      fill(sums);
      return sums;
    } catch (error) {
      if (!signal.aborted) fill(null, `${error.message} ${error.code ?? ""}`);
      if (!signal.aborted && !error.entries) console.error(error);
      return null;
    }
  }

  async function draw() {
    const { data } = await ask(HISTOGRAMS, { filter, metrics: ["cpu_load", "flops_any", "mem_bw"], bins: "1h" }, signal);
    const one = data.jobsStatistics[0];
    const reason = (name) => one.exactness.find((known) => known.figure === name && known.quality === "REFUSED")?.reason;
    const durations = one.histDuration?.map(({ count, value }) => [`< ${number(value / 3600)} h`, count]);
    if (durations && one.histDurationOverflow) durations.push(["longer", one.histDurationOverflow]);
    drawings.replaceChildren(
      histogram("Duration", durations, reason("histDuration")),
      histogram("Nodes", one.histNumNodes?.map(({ count, value }) => [number(value), count]), reason("histNumNodes")),
      ...(one.histMetrics ?? []).map((metric) => histogram(`${metric.metric}${metric.stat ? `, ${metric.stat}` : ""}${metric.unit ? `, ${metric.unit}` : ""}`,
        metric.data?.map(({ count, min, max }) => [`${number(min)} – ${number(max)}`, count]), reason(`histMetrics.${metric.metric}`))));
  }

  try {
    await read();
  } catch (error) {
    if (!signal.aborted) content.replaceChildren(failure(error, () => dispatchEvent(new PopStateEvent("popstate"))));
    return;
  } finally {
    waiting.remove();
  }
  await draw().catch((error) => { if (!signal.aborted) drawings.replaceChildren(failure(error, () => draw())); });
}
