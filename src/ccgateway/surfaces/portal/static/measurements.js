// What was measured of a job: a chart for each metric, the roofline, and the table of statistics.

import { ask } from "./api.js";
import { columnsOf, drawChart } from "./chart.js";
import { el, select, theirs } from "./dom.js";
import { number, unitText } from "./format.js";
import { empty, failure, loading } from "./notices.js";
import { every } from "./repeating.js";
import { roofline } from "./roofline.js";
import { csvButton } from "./table_files.js";

const METRICS = `query Metrics($id: ID!, $metrics: [String!], $scopes: [MetricScope!], $resolution: Int) {
  jobMetrics(id: $id, metrics: $metrics, scopes: $scopes, resolution: $resolution) { name scope metric { unit { prefix base } timestep
    series { hostname id statistics { avg min max } data } statisticsSeries { mean median min max } } } }`;
const STATS = "query Stats($id: ID!) { jobStats(id: $id) { name data { avg min max } } }";
const SCOPES = ["node", "socket", "memoryDomain", "core", "hwthread", "accelerator"];
const ROWS_SHOWN = 500;

/** The panel of one metric. It keeps what it shows: scope, each series or a band, and the range. */
class Panel {
  constructor(job, entries, config, signal) {
    Object.assign(this, { job, config, signal, name: entries[0].name, range: null, each: false, drawn: null });
    this.byScope = new Map(entries.map((entry) => [entry.scope, entry.metric]));
    this.scope = entries[0].scope;
    this.box = el("div", { class: "plot" });
    this.notes = el("div");
    this.head = el("div", { class: "buttons" });
    this.values = el("details", { class: "values", ontoggle: () => this.drawValues() }, el("summary", {}, "Values"));
    this.element = el("figure", { class: "card chart", data: { metric: this.name } },
      el("figcaption", {}, el("h3", {}, theirs(this.name, 60), " ", this.unitBox = el("small", {})), this.head), this.box, this.notes, this.values);
    document.addEventListener("theme", () => this.draw(), { signal });
  }

  get metric() {
    return this.byScope.get(this.scope);
  }

  get unit() {
    return unitText(this.metric.unit);
  }

  drawHead() {
    const finest = Math.max(SCOPES.indexOf(this.config?.scope ?? "node"), ...[...this.byScope.keys()].map((scope) => SCOPES.indexOf(scope)));
    const offered = [...new Set([...this.byScope.keys(), ...SCOPES.slice(0, finest + 1)])];
    const { isBand } = columnsOf(this.metric, { each: false });
    const many = (this.metric.series ?? []).length;
    const scope = select("scope", offered.map((one) => [one, one]), this.scope, { "aria-label": `Scope of ${this.name}`, onchange: () => this.change(scope.value) });
    this.head.replaceChildren(...[
      offered.length > 1 ? scope : el("small", { class: "muted" }, this.scope),
      isBand && many && many <= 64 ? el("button", { type: "button", class: "quiet", onclick: () => { this.each = !this.each; this.draw(); } }, this.each ? "As a band" : `Each of ${many}`) : null,
      this.range ? el("button", { type: "button", class: "quiet", onclick: () => this.zoom(null, null) }, "Whole time") : null,
      csvButton("CSV", `job-${this.job.jobId}-${this.name}-${this.scope}.csv`, () => this.table()),
    ].filter(Boolean));
  }

  async draw() {
    this.drawn?.end();
    this.unitBox.textContent = this.unit ? `in ${this.unit}` : "";
    this.drawHead();
    const { config } = this;
    // levels are those of a node: at finer scopes they would mean nothing
    const levels = config && this.scope === "node" ? ["normal", "caution", "alert"].map((name) => [name, config[name]]) : [];
    const words = (this.metric.series ?? []).slice(0, 4).filter((one) => one.statistics).map((one) => `${one.hostname} ${one.id ?? ""} on average ${number(one.statistics.avg)}`);
    this.drawn = await drawChart(this.box, this.metric, {
      start: Date.parse(this.job.startTime) / 1000, unit: this.unit, levels, range: this.range, each: this.each,
      label: `${this.name} over time by ${this.scope}: ${words.join("; ")}. The values are below.`,
      zoomed: (from, to) => this.zoom(from, to),
    });
    this.drawValues();
  }

  table() {
    const { times, columns } = this.drawn;
    return [["time", ...columns.map((one) => one.name)], times.map((at, i) => [new Date(at * 1000).toISOString(), ...columns.map((one) => one.data[i])])];
  }

  drawValues() {
    this.values.querySelector(".scroll")?.remove();
    if (!this.values.open || !this.drawn) return;
    const [head, rows] = this.table();
    this.values.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Values of ${this.name}` }, el("table", {},
      el("thead", {}, el("tr", {}, head.map((one) => el("th", { scope: "col" }, theirs(one, 60))))),
      el("tbody", {}, rows.slice(0, ROWS_SHOWN).map((row) => el("tr", {}, row.map((value, i) => el("td", { class: i ? "num" : "" }, i ? (value === null ? "–" : String(value)) : value)))))),
      rows.length > ROWS_SHOWN ? el("p", { class: "muted" }, `${number(rows.length - ROWS_SHOWN)} more rows are in the CSV.`) : null));
  }

  async read(scope, resolution) {
    const { data, extensions } = await ask(METRICS, { id: this.job.id, metrics: [this.name], scopes: [scope], resolution }, this.signal);
    for (const entry of data.jobMetrics) this.byScope.set(entry.scope, entry.metric);
    return { found: data.jobMetrics.find((entry) => entry.scope === scope) ?? data.jobMetrics.at(-1), notes: extensions?.notes ?? [] };
  }

  async change(scope) {
    try {
      if (!this.byScope.has(scope)) {
        const { found } = await this.read(scope, null);
        this.notes.replaceChildren(found && found.scope === scope ? "" : el("p", { class: "muted" }, `The site does not keep ${this.name} by ${scope}.`));
        if (!found) return this.drawHead();
        scope = found.scope;
      } else this.notes.replaceChildren();
      this.scope = scope;
      await this.draw();
    } catch (error) {
      if (!this.signal.aborted) this.notes.replaceChildren(failure(error, () => this.change(scope)));
    }
  }

  /** Shows a part of the time, and asks for it in finer steps; nulls show all of it again. */
  async zoom(from, to) {
    this.range = from === null ? null : [from, to];
    await this.draw();
    const before = this.metric.timestep, own = this.config?.timestep ?? 0;
    if (from === null || before <= own) return;
    // sites make longer steps of their own by whole numbers only; 0 asks for the finest that there are
    const times = own ? Math.floor((before * Math.min(1, (to - from) / Math.max(1, this.job.duration))) / own) : 0;
    try {
      const { notes } = await this.read(this.scope, times > 1 ? times * own : 0);
      if (this.metric.timestep < before) await this.draw();
      this.notes.replaceChildren(notes.length ? el("p", { class: "muted" }, `Samples are ${number(this.metric.timestep)} s apart: `, theirs(notes[0].message, 300)) : "");
    } catch (error) {
      if (!this.signal.aborted) this.notes.replaceChildren(failure(error));
    }
  }
}

async function statistics(job, signal) {
  const { data } = await ask(STATS, { id: job.id }, signal);
  const rows = data.jobStats.map((one) => [one.name, one.data.avg, one.data.min, one.data.max]);
  if (!rows.length) return null;
  return el("section", { class: "card", id: "statistics" },
    el("div", { class: "title" }, el("h2", {}, "Statistics"), csvButton("CSV", `job-${job.jobId}-statistics.csv`, () => [["metric", "avg", "min", "max"], rows])),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Statistics" }, el("table", {},
      el("thead", {}, el("tr", {}, ["Metric", "Average", "Lowest", "Highest"].map((one, i) => el("th", { scope: "col", class: i ? "num" : "" }, one)))),
      el("tbody", {}, rows.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, theirs(name, 60)), values.map((value) => el("td", { class: "num" }, number(value)))))))));
}

/** Draws all of it into `box`, and while the job runs again and again. */
export async function measurements(box, job, { configs, subCluster }, signal) {
  const charts = el("div", { class: "charts" });
  const below = el("div");
  const head = el("h2", {}, "Measured");
  const waiting = loading(6, `metrics from ${job.site}`);
  box.append(head, waiting, charts, below);
  const panels = new Map();

  async function read() {
    const { data } = await ask(METRICS, { id: job.id }, signal);
    const groups = new Map();
    for (const entry of data.jobMetrics) groups.set(entry.name, [...(groups.get(entry.name) ?? []), entry]);
    for (const [name, entries] of groups) {
      const panel = panels.get(name);
      if (panel) {
        if (panel.range) continue; // somebody looks at a part of it
        for (const entry of entries) panel.byScope.set(entry.scope, entry.metric);
      } else {
        panels.set(name, new Panel(job, entries, configs.get(name), signal));
        charts.append(panels.get(name).element);
      }
    }
    await Promise.all([...panels.values()].filter((panel) => !panel.range).map((panel) => panel.draw()));
    const drawn = roofline(data.jobMetrics, subCluster);
    const table = await statistics(job, signal);
    below.replaceChildren(...[drawn, table].filter(Boolean));
    if (!panels.size) charts.replaceChildren(empty("Nothing was measured.", "The site has no metrics of this job."));
  }

  try {
    await read();
  } catch (error) {
    if (!signal.aborted) charts.replaceChildren(failure(error, () => { charts.replaceChildren(); read().catch((again) => charts.replaceChildren(failure(again))); }));
  } finally {
    waiting.remove();
  }
  if (job.state === "running") every(30, signal, read);
}
