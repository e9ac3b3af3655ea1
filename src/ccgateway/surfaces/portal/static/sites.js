// The sites: how each is, and what runs there.

import { ask } from "./api.js";
import { el, link, theirs } from "./dom.js";
import { ago, count, number } from "./format.js";
import { failure, loading, missing, remedy } from "./notices.js";
import { every } from "./repeating.js";

const SITES = `query Sites { sites { name number release reachable since elapsed required sameAs capabilities
  lastError { code message at retryable } reads { way why } } }`;
const RUNNING = `query Running { jobsStatistics(groupBy: SITE, filter: [{ state: [running] }]) {
  id runningJobs totalJobs totalUsers complete sites { site status code message retryable } } }`;
const CLUSTERS = "query Clusters { clusters { site name subClusters { numberOfNodes } } }";
const ALLOCATED = "query Allocated($cluster: String!, $site: String) { allocatedNodes(cluster: $cluster, site: $site) { count } }";

const fact = (name, value, title) => el("div", { title }, el("dt", {}, name), el("dd", {}, value));

function card(site, running, nodes) {
  const state = site.sameAs ? "same" : site.reachable ? "up" : "down";
  const word = { up: "Up", down: "Down", same: "Same as another" }[state];
  const error = site.reachable ? null : site.lastError;
  return el(
    "article", { class: `card site ${state}`, data: { site: site.name } },
    el("header", {}, el("h2", {}, theirs(site.name)), el("span", { class: `pill ${state}` }, word)),
    error ? el("p", { class: "why" }, theirs(error.message, 300), " ", el("code", {}, error.code), " ", remedy(error.code, error.retryable)) : null,
    site.sameAs ? el("p", { class: "why" }, "It is the same instance as ", theirs(site.sameAs), ", which stands for both.") : null,
    el("dl", { class: "facts" },
      fact("Running jobs", running ? number(running.runningJobs ?? running.totalJobs) : "–"),
      fact("Nodes in use", nodes ? `${number(nodes.used)} of ${number(nodes.all)}` : "–", nodes ? null : "The site does not tell you."),
      fact("Users", running ? number(running.totalUsers) : "–"),
      fact("Answers in", site.elapsed === null ? "–" : `${number(Math.round(site.elapsed * 1000))} ms`),
      fact("Release", site.release ?? "not known"),
      fact(site.reachable ? "Up for" : "Down for", el("time", { datetime: site.since, title: `since ${site.since.replace("T", " ").replace("Z", "")} UTC` }, ago(site.since)))),
    nodes?.all ? el("progress", { max: nodes.all, value: nodes.used, "aria-label": `Nodes in use at ${site.name}` }) : null,
    el("p", { class: "access" }, !site.reachable ? "" : site.reads === null ? "You are not let in here. " : "You see what your account there may see. ",
      el("span", { class: "muted" }, site.capabilities.length ? `It can: ${site.capabilities.join(", ")}.` : "")),
    el("footer", {}, link(`/jobs?site=${encodeURIComponent(site.name)}`, "Jobs"), " ",
      link(`/jobs?site=${encodeURIComponent(site.name)}&state=running`, "Running")),
  );
}

export async function show(main, { signal }) {
  const banner = el("div");
  const summary = el("p", { class: "lead" });
  const cards = el("div", { class: "cards" });
  const waiting = loading(5, "the sites");
  main.append(el("div", { class: "title" }, el("h1", {}, "Sites"), summary), banner, waiting, cards);
  let sites = [], running = new Map();
  const nodes = new Map();

  function draw() {
    const up = sites.filter((site) => site.reachable).length;
    const jobs = [...running.values()].reduce((sum, one) => sum + (one.runningJobs ?? one.totalJobs ?? 0), 0);
    summary.textContent = `${up} of ${count(sites.length, "site")} up` + (running.size ? `, ${count(jobs, "job")} running` : "");
    // only what changed is drawn anew, so that the focus stays where it is
    for (const site of sites) {
      const made = card(site, running.get(site.name), nodes.get(site.name));
      const old = [...cards.children].find((one) => one.dataset.site === site.name);
      if (!old) cards.append(made);
      else if (!old.isEqualNode(made) && !old.contains(document.activeElement)) old.replaceWith(made);
    }
  }

  async function readSites() {
    try {
      sites = (await ask(SITES, {}, signal)).data.sites;
      banner.querySelector(".bad")?.remove();
    } catch (error) {
      if (!signal.aborted) banner.replaceChildren(failure(error, readSites));
      return;
    } finally {
      waiting.remove();
    }
    draw();
  }

  async function readRunning() {
    try {
      const answer = await ask(RUNNING, {}, signal);
      running = new Map(answer.data.jobsStatistics.map((one) => [one.id, one]));
      const reports = answer.data.jobsStatistics[0]?.sites;
      for (const { site, status } of reports ?? []) if (status === "OK" && !running.has(site)) running.set(site, { runningJobs: 0, totalUsers: 0 });
      // what is down its own card says
      const down = new Set(sites.filter((site) => !site.reachable).map((site) => site.name));
      const others = answer.errors?.filter((error) => !down.has(error.extensions?.site));
      banner.replaceChildren(missing(reports?.filter((report) => !down.has(report.site)), others) ?? "");
      draw();
    } catch (error) {
      if (!signal.aborted && !banner.firstChild) banner.replaceChildren(failure(error, readRunning));
    }
  }

  async function readNodes() {
    const { data } = await ask(CLUSTERS, {}, signal);
    const found = new Map();
    await Promise.all(data.clusters.map(async ({ site, name, subClusters }) => {
      try {
        const used = (await ask(ALLOCATED, { cluster: name, site }, signal)).data.allocatedNodes.reduce((sum, one) => sum + one.count, 0);
        const all = subClusters.reduce((sum, one) => sum + one.numberOfNodes, 0);
        const before = found.get(site) ?? { used: 0, all: 0 };
        found.set(site, { used: before.used + used, all: before.all + all });
      } catch (error) {
        if (!error.entries) throw error; // a site that does not tell has a dash
      }
    }));
    nodes.clear();
    for (const [site, one] of found) nodes.set(site, one);
    draw();
  }

  every(5, signal, readSites);
  every(10, signal, readRunning);
  every(60, signal, readNodes);
  await readSites();
  await Promise.all([readRunning(), readNodes().catch((error) => { if (!error.entries && !signal.aborted) throw error; })]);
}
