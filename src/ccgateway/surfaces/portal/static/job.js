// One job: facts, tags, notes, orders, and what was measured.

import { ask } from "./api.js";
import { clean, el, link, theirs } from "./dom.js";
import { duration, number, time } from "./format.js";
import { failure, loading } from "./notices.js";
import { measurements } from "./measurements.js";
import { adminOrders, noteOrder, tagOrders } from "./orders.js";
import { every } from "./repeating.js";

const JOB = `query Job($id: ID!) { job(id: $id) {
  id site cluster subCluster jobId user project state startTime duration walltime numNodes numHWThreads numAcc energy SMT shared
  partition arrayJobId monitoringStatus metaData tags { id type name scope } resources { hostname hwthreads accelerators }
  footprint { name stat value } } }`;
const ENERGY = "query Energy($id: ID!) { job(id: $id) { energyFootprint { hardware metric value } } }";
const BESIDE = "query Beside($id: ID!) { job(id: $id) { concurrentJobs { count items { id jobId } } } }";
const SITE = "query Site($sites: [String!]) { sites(names: $sites) { pageUrl } }";
const CLUSTER = `query Cluster($sites: [String!]) { clusters(sites: $sites) { name
  metricConfig { name unit { prefix base } scope timestep peak normal caution alert lowerIsBetter }
  subClusters { name flopRateScalar { value unit { prefix base } } flopRateSimd { value unit { prefix base } } memoryBandwidth { value unit { prefix base } }
    metricConfig { name unit { prefix base } scope timestep peak normal caution alert lowerIsBetter } } } }`;
const MONITORING = ["not monitored", "running or being archived", "archiving failed", "archived"];

const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
const section = (title, ...content) => el("section", { class: "card" }, el("h2", {}, title), content);

/** Of the job at its own site, of which nobody is told from where somebody comes; null where there is none. */
function pageOf(job, base) {
  return /^https?:\/\//.test(base ?? "") ? `${base}/monitoring/job/${encodeURIComponent(job.id.slice(job.id.indexOf(":") + 1))}` : null;
}

function facts(job, page) {
  const share = { none: "alone on its nodes", single_user: "with jobs of the same user", multi_user: "with jobs of others" };
  return el("dl", { class: "facts wide" },
    fact("User", link(`/jobs?user=${encodeURIComponent(`=${job.user}`)}`, theirs(job.user, 80))),
    fact("Project", link(`/jobs?project=${encodeURIComponent(`=${job.project}`)}`, theirs(job.project, 80))),
    fact("Cluster", theirs(job.cluster, 80), " · ", theirs(job.subCluster, 80)),
    fact("Site", theirs(job.site, 80), ...(page ? [" · ", el("a", { href: page, target: "_blank", rel: "noreferrer" }, "its page there")] : [])),
    fact("Started", time(job.startTime)),
    fact("Ran", `${duration(job.duration)}${job.walltime ? ` of ${duration(job.walltime)}` : ""}`),
    fact("Nodes", number(job.numNodes)),
    fact("Threads", number(job.numHWThreads)),
    fact("Accelerators", number(job.numAcc)),
    fact("Energy", job.energy ? `${number(job.energy)} kWh` : "–"),
    fact("Partition", job.partition ? theirs(job.partition, 80) : "–"),
    job.arrayJobId ? fact("Array", String(job.arrayJobId)) : null,
    fact("Runs", theirs(share[job.shared] ?? job.shared, 80)),
    fact("Monitoring", MONITORING[job.monitoringStatus] ?? String(job.monitoringStatus)));
}

function metadata(job) {
  const entries = Object.entries(job.metaData ?? {});
  if (!entries.length) return el("p", { class: "muted" }, "The site keeps none.");
  return entries.slice(0, 100).map(([name, value]) => {
    const text = String(value);
    return text.length > 120 || text.includes("\n")
      ? el("details", {}, el("summary", {}, theirs(name, 80)), el("pre", { tabindex: "0" }, theirs(text, 20000)))
      : el("p", { class: "entry" }, el("span", { class: "muted" }, theirs(name, 80), ": "), theirs(text));
  });
}

function resources(job) {
  const shown = job.resources.slice(0, 256);
  return el("div", { class: "hosts" }, shown.map((one) => el("span", { class: "host", title: [
    one.hwthreads ? `threads ${one.hwthreads.slice(0, 256).join(", ")}` : "all threads", one.accelerators?.length ? `accelerators ${clean(one.accelerators.join(", "), 200)}` : "",
  ].filter(Boolean).join("; ") }, theirs(one.hostname, 60), one.accelerators?.length ? el("small", {}, ` ${one.accelerators.length} acc.`) : null)),
  job.resources.length > shown.length ? el("span", { class: "muted" }, `and ${number(job.resources.length - shown.length)} more`) : null);
}

/** How good a value is by the cluster's levels: `good`, `caution`, `alert`. */
function grade(value, config) {
  if (!config) return "";
  const worse = config.lowerIsBetter ? (level) => value > level : (level) => value < level;
  return worse(config.alert) ? "alert" : worse(config.caution) ? "caution" : "good";
}

function footprint(job, configs) {
  if (!job.footprint?.length) return el("p", { class: "muted" }, job.state === "running" ? "The site has none while the job runs." : "The site keeps none.");
  return el("ul", { class: "footprint" }, job.footprint.map(({ name, stat, value }) => {
    const config = configs.get(name);
    const graded = grade(value, config);
    const unit = config ? ` ${config.unit.prefix ?? ""}${config.unit.base}` : "";
    const words = { good: "normal", caution: "worth a look", alert: "bad" }[graded] ?? "";
    const title = config ? `peak ${number(config.peak)}, normal ${number(config.normal)}, caution ${number(config.caution)}, alert ${number(config.alert)}${unit}` : null;
    const bar = el("span", { class: `bar ${graded}` });
    bar.style.width = `${config?.peak ? Math.min(100, (100 * value) / config.peak) : 0}%`;
    return el("li", { title }, el("span", {}, theirs(name, 60), " ", el("small", {}, theirs(stat, 20))), el("span", { class: "track" }, bar),
      el("span", { class: "num" }, `${number(value)}${unit}`), el("small", { class: `grade ${graded}` }, words));
  }));
}

async function readConfigs(job, signal) {
  try {
    const { data } = await ask(CLUSTER, { sites: [job.site] }, signal);
    const cluster = data.clusters.find((one) => one.name === job.cluster);
    const sub = cluster?.subClusters.find((one) => one.name === job.subCluster);
    const all = [...(cluster?.metricConfig ?? []), ...(sub?.metricConfig ?? [])];
    return { configs: new Map(all.map((one) => [one.name, one])), subCluster: sub ?? null };
  } catch (error) {
    if (!error.entries) throw error;
    return { configs: new Map(), subCluster: null };
  }
}

export async function show(main, { signal, session, argument }) {
  const id = argument;
  const waiting = loading(6, `site ${id.split(":")[0]}`);
  const heading = el("h1", {}, "Job");
  main.append(el("div", { class: "title" }, heading), waiting);
  let job;
  try {
    job = (await ask(JOB, { id }, signal)).data.job;
  } finally {
    waiting.remove();
  }
  document.title = `Job ${job.jobId} · ClusterCockpit gateway`;
  const name = typeof job.metaData?.jobName === "string" ? job.metaData.jobName : "";
  const state = el("span", { class: `pill ${job.state}` });
  heading.replaceChildren("Job ", String(job.jobId), " ");
  if (name) heading.after(el("p", { class: "lead" }, theirs(name, 120)));
  heading.append(state);
  const [top, kept, tags, notes, levels, energy, beside, orders] = Array.from({ length: 8 }, () => el("div"));
  let page = null;
  let extra = { configs: new Map(), subCluster: null };

  // forms are drawn anew only with what they are about, as somebody may be filling them in
  const drawn = new Map();
  function once(box, about, make) {
    const text = JSON.stringify(about);
    if (drawn.get(box) !== text) box.replaceChildren(make() ?? "");
    drawn.set(box, text);
  }

  function draw() {
    state.textContent = job.state.replaceAll("_", " ");
    state.className = `pill ${job.state}`;
    top.replaceChildren(facts(job, page));
    once(tags, job.tags, () => tagOrders(job, changed));
    kept.replaceChildren(...[metadata(job)].flat());
    levels.replaceChildren(footprint(job, extra.configs));
    once(orders, job.state, () => adminOrders(job, session, changed));
  }

  /** Takes over the job as a write's result has it; reads it again where there is none. */
  async function changed(after) {
    if (after === "gone") return;
    try {
      const read = after ?? (await ask(JOB, { id }, signal)).data.job;
      if (isAnother(read)) return;
      job = { ...job, ...read };
      draw();
    } catch (error) {
      if (!signal.aborted) notes.prepend(failure(error, () => changed(null)));
    }
  }

  /** Whether the site has given the number to another job meanwhile; that is said then. */
  function isAnother(read) {
    if (read.jobId === undefined || (read.jobId === job.jobId && read.startTime === job.startTime)) return false;
    notes.prepend(el("p", { class: "notice partial", role: "status" }, "This job is there no more: its site uses the number for another one."));
    job.state = "gone";
    return true;
  }

  draw();
  notes.append(noteOrder(job, changed));
  const measured = el("div", { class: "measured" });
  main.append(
    el("div", { class: "columns" },
      el("div", {}, section("Facts", top), section("Hosts", resources(job))),
      el("div", {}, section("Tags", tags), section("Footprint", levels, energy), section("Kept with the job", kept, notes, beside))),
    orders, measured);
  readConfigs(job, signal).then((found) => {
    extra = found;
    draw();
    return measurements(measured, job, found, signal);
  }).catch((error) => { if (!signal.aborted) measured.append(failure(error)); });
  ask(ENERGY, { id }, signal).then(({ data }) => {
    const parts = data.job.energyFootprint ?? [];
    if (parts.length) energy.append(el("p", { class: "muted" }, "Energy: ", parts.map((one) => `${clean(one.hardware, 40)} ${number(one.value)} kWh`).join(", ")));
  }).catch(() => {}); // not every release tells
  ask(SITE, { sites: [job.site] }, signal).then(({ data }) => {
    page = pageOf(job, data.sites[0]?.pageUrl);
    if (page) top.replaceChildren(facts(job, page));
  }).catch(() => {}); // without it there is no link
  ask(BESIDE, { id }, signal).then(({ data }) => {
    const list = data.job.concurrentJobs;
    if (list?.items.length) beside.append(el("p", {}, "Shared hosts with ", list.items.slice(0, 20).flatMap((one) => [link(`/job/${encodeURIComponent(one.id)}`, String(one.jobId)), " "])));
  }).catch(() => {});
  every(15, signal, async () => {
    if (job.state !== "running") return;
    const read = (await ask(JOB, { id }, signal)).data.job;
    if (isAnother(read)) return;
    job = read;
    if (!main.querySelector(".columns form:focus-within, dialog")) draw();
  });
}
