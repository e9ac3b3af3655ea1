// The list of jobs of all sites.

import { ask } from "./api.js";
import { announce, clean, el, link, root, theirs } from "./dom.js";
import { ORDERS, filterForm, unread, variablesOf } from "./filters.js";
import { duration, number, time } from "./format.js";
import { empty, failure, loading, missing, overlooked } from "./notices.js";
import { every } from "./repeating.js";
import { saveCsv, saveJson } from "./table_files.js";

const PAGE = 100;
const ITEM = "id site cluster subCluster jobId user project state startTime duration numNodes numHWThreads numAcc energy metaData tags { id type name scope }";
const REPORT = "sites { site status code message retryable notes }";
const LIST = `query Jobs($filter: [JobFilter!], $order: OrderByInput, $sites: [String!], $first: Int, $after: String) {
  jobs(filter: $filter, order: $order, sites: $sites, first: $first, after: $after) {
    items { ${ITEM} } pageInfo { endCursor hasNextPage } complete ${REPORT} } }`;
const COUNT = `query Count($filter: [JobFilter!], $sites: [String!]) { jobs(filter: $filter, sites: $sites, first: 1) { count ${REPORT} } }`;
const AGAIN = `query Again($filter: [JobFilter!], $sites: [String!]) { jobs(filter: $filter, sites: $sites, first: ${PAGE}) { items { ${ITEM} } } }`;
const CHOICES = "query Choices { sites { name } clusters { site name } tags { id type name scope } }";
const AGAIN_EVERY = 10;
const CSV_HEAD = ["id", "site", "cluster", "subCluster", "jobId", "jobName", "user", "project", "state", "startTime", "duration", "numNodes", "numHWThreads", "numAcc", "energy", "tags"];

// what a site can lack that answers all the same
const NOT_GONE = new Set(["SCAN_BUDGET", "UNREADABLE_JOBS"]);
// of a row whose height is not known yet
const USUAL_HEIGHT = 52;

// what the list was when it was left, so that going back finds it and the place in it again
let kept = { search: null };

const nameOf = (job) => (typeof job.metaData?.jobName === "string" ? job.metaData.jobName : "");
const csvRow = (job) => [
  job.id, job.site, job.cluster, job.subCluster, job.jobId, nameOf(job), job.user, job.project, job.state, job.startTime,
  job.duration, job.numNodes, job.numHWThreads, job.numAcc, job.energy, job.tags.map((tag) => `${tag.type}:${tag.name}`).join(" "),
];

// rows are laid out as grids, which takes their meaning from them in some browsers: so it is said
const cell = (name, label, ...content) => el("td", { class: name, role: "cell", data: { label } }, content);

function row(job, index) {
  return el(
    "tr", { role: "row", "aria-rowindex": index + 2, data: { id: job.id, state: job.state } },
    cell("job", "Job", link(`/job/${encodeURIComponent(job.id)}`, el("strong", {}, String(job.jobId)), nameOf(job) ? el("span", { class: "name" }, theirs(nameOf(job), 60)) : null),
      job.tags.length ? el("span", { class: "tags" }, job.tags.slice(0, 4).map((tag) => el("span", { class: "tag" }, theirs(`${tag.type}: ${tag.name}`, 40)))) : null),
    cell("state", "State", el("span", { class: `pill ${/^[a-z_]+$/.test(job.state) ? job.state : ""}` }, job.state.replaceAll("_", " "))),
    cell("who", "User", link(`/jobs?user=${encodeURIComponent(`=${job.user}`)}`, theirs(job.user, 60)), el("small", {}, theirs(job.project, 60))),
    cell("where", "Cluster", theirs(job.cluster, 60), el("small", {}, theirs(job.site, 60))),
    cell("start", "Start", time(job.startTime)),
    cell("num length", "Duration", el("span", { title: `${number(job.duration)} s` }, duration(job.duration))),
    cell("num nodes", "Nodes", number(job.numNodes)),
    cell("num threads", "Threads", number(job.numHWThreads)),
    cell("num acc", "Acc.", job.numAcc ? number(job.numAcc) : "–"),
    cell("num energy", "kWh", job.energy ? number(job.energy) : "–"),
  );
}

export async function show(main, { signal, session }) {
  const params = new URLSearchParams(location.search);
  const variables = variablesOf(params);
  // what somebody else was shown is not for whoever is here now
  const back = kept.session === session && kept.search === location.search && history.state?.scroll !== undefined ? kept : null;
  const jobs = back ? back.jobs : new Map();
  const lacked = back ? back.lacked : new Set(); // sites that are missing from what was read
  let said = back?.said ?? null; // what was said of the pages that were read
  let cursor = back?.cursor ?? null, more = back?.more ?? true, busy = false;
  kept = { session, search: location.search, jobs, cursor, more, lacked, said, place: null };

  function changed(next) {
    const text = next.toString();
    history.pushState({}, "", `${root}/jobs${text ? `?${text}` : ""}`);
    dispatchEvent(new PopStateEvent("popstate"));
  }

  const heading = (name, label, className = "") => {
    if (!Object.hasOwn(ORDERS, name)) return el("th", { scope: "col", role: "columnheader", class: className }, label);
    const current = (params.get("order") ?? "startTime") === name;
    const ascending = params.get("dir") === "asc";
    const button = el("button", { type: "button", onclick: () => {
      const next = new URLSearchParams(params);
      next.set("order", name);
      next.set("dir", current && !ascending ? "asc" : "desc");
      changed(next);
    } }, label, current ? (ascending ? " ↑" : " ↓") : "");
    return el("th", { scope: "col", role: "columnheader", class: className, "aria-sort": current ? (ascending ? "ascending" : "descending") : null }, button);
  };

  const counted = el("p", { class: "lead", id: "count" }, " ");
  const banner = el("div", { id: "banner" });
  const newer = el("div");
  // each page that was read is a body of its own, which browsers lay out and paint only while it is near the window
  const table = el("table", { class: "list jobs", role: "table", "aria-rowcount": -1, hidden: true }, el("caption", { class: "hidden" }, "Jobs of all sites"),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row", "aria-rowindex": 1 }, heading("", "Job"), heading("", "State"), heading("", "User"), heading("", "Cluster"), heading("startTime", "Start"),
      heading("duration", "Duration", "num"), heading("numNodes", "Nodes", "num"), heading("numHWThreads", "Threads", "num threads"), heading("numAcc", "Acc.", "num acc"), heading("energy", "kWh", "num energy"))));
  const foot = el("div", { class: "foot" });
  // on a narrow screen the filter would stand where the list should
  const aside = el("details", { class: "aside", open: !matchMedia("(max-width: 44rem)").matches }, el("summary", {}, params.size ? "Filter (in use)" : "Filter"));
  const files = el("div", { class: "buttons" },
    el("button", { type: "button", class: "quiet", id: "csv", onclick: () => saveCsv("jobs.csv", CSV_HEAD, [...jobs.values()].map(csvRow)) }, "CSV"),
    el("button", { type: "button", class: "quiet", id: "json", onclick: () => saveJson("jobs.json", [...jobs.values()]) }, "JSON"));
  main.append(el("div", { class: "title" }, el("h1", {}, "Jobs"), counted, files), aside, overlooked(unread(params)) ?? "", banner, newer, table, foot);

  const choices = { sites: [], clusters: [], tags: [] };
  let form = filterForm(params, choices, changed);
  aside.append(form);
  ask(CHOICES, {}, signal).then(({ data }) => {
    choices.sites = (data.sites ?? []).map((site) => site.name);
    choices.clusters = [...new Set((data.clusters ?? []).map((cluster) => cluster.name))];
    choices.tags = data.tags ?? [];
    if (form.contains(document.activeElement)) return; // somebody types: what is there suffices
    const fresh = filterForm(params, choices, changed);
    form.replaceWith(fresh);
    form = fresh;
  }).catch(() => {}); // the list says what is wrong

  function append(rows) {
    if (!rows.length) return;
    const first = table.tBodies[0];
    const height = first?.offsetHeight ? first.offsetHeight / first.rows.length : USUAL_HEIGHT;
    const body = el("tbody", { role: "rowgroup" }, rows);
    body.style.containIntrinsicBlockSize = `auto ${Math.round(height * rows.length)}px`;
    table.append(body);
  }

  function add(items) {
    const rows = [];
    for (const job of items) {
      if (!jobs.has(job.id)) rows.push(row(job, jobs.size));
      jobs.set(job.id, job);
    }
    append(rows);
  }

  /** The first row in the window, and how far below its top that is. */
  function placeShown() {
    const top = table.tHead.getBoundingClientRect().bottom;
    const isBelow = (one) => one.getBoundingClientRect().bottom > top;
    const found = [...([...table.tBodies].find(isBelow)?.rows ?? [])].find(isBelow);
    return found ? { id: found.dataset.id, top: found.getBoundingClientRect().top } : null;
  }

  function goTo({ id, top }) {
    const found = rowOf(id);
    // what is above it gets its true height as it comes near: then it has to be done again
    for (let i = 0; found && i < 3; i++) scrollBy({ top: found.getBoundingClientRect().top - top, behavior: "instant" });
  }

  const rowOf = (id) => table.querySelector(`tbody tr[data-id="${CSS.escape(id)}"]`);
  signal.addEventListener("abort", () => { kept.place = placeShown(); });

  async function next() {
    if (busy || !more) return;
    busy = true;
    const waiting = loading(jobs.size ? 2 : 8, variables.sites ? variables.sites.join(", ") : "the sites");
    foot.replaceChildren(waiting);
    try {
      const answer = await ask(LIST, { ...variables, first: PAGE, after: cursor }, signal);
      const page = answer.data.jobs;
      add(page.items);
      cursor = page.pageInfo.endCursor ?? cursor;
      more = page.pageInfo.hasNextPage;
      said = missing(page.sites, answer.errors) ?? said;
      Object.assign(kept, { cursor, more, said });
      banner.replaceChildren(said ?? "");
      for (const { site, status, code } of page.sites) if ((status === "FAILED" || status === "PARTIAL") && !NOT_GONE.has(code)) lacked.add(site);
      table.hidden = !jobs.size;
      announce(`${jobs.size} jobs shown`);
      drawFoot();
    } catch (error) {
      if (!signal.aborted) foot.replaceChildren(failure(error, next));
    } finally {
      busy = false;
    }
  }

  function drawFoot() {
    if (more) {
      const button = el("button", { type: "button", id: "more", onclick: next }, "More jobs");
      foot.replaceChildren(button);
      watcher.observe(button);
    } else {
      foot.replaceChildren(jobs.size ? el("p", { class: "muted" }, `All ${number(jobs.size)} jobs are shown.`) : empty("No job matches.", "Take something out of the filter, or look at a longer time."));
    }
  }

  const watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) next();
  }, { rootMargin: "600px" });
  signal.addEventListener("abort", () => watcher.disconnect());

  async function recount() {
    try {
      const { data } = await ask(COUNT, { filter: variables.filter, sites: variables.sites }, signal);
      const why = data.jobs.sites.flatMap((site) => [site.message, ...site.notes]).filter(Boolean)[0];
      counted.textContent = data.jobs.count === null ? "How many there are cannot be told now" : `${number(data.jobs.count)} jobs`;
      counted.title = data.jobs.count === null ? clean(why ?? "", 300) : "";
      table.setAttribute("aria-rowcount", data.jobs.count === null ? -1 : data.jobs.count + 1);
    } catch (error) {
      if (!signal.aborted) counted.textContent = error.entries ? `How many cannot be told (${error.code})` : "";
    }
  }

  function readAnew() {
    kept = { search: null };
    dispatchEvent(new PopStateEvent("popstate"));
  }

  /** What sites are missing now, and which of those that were missing from the list could be in it now. */
  function drawBanner(reports, errors) {
    const again = [...lacked].filter((site) => reports.some((report) => report.site === site && report.status === "OK"));
    const lacking = missing(reports, errors, lacked.size ? undefined : "Not everything is read again.");
    if (lacking || !again.length) banner.replaceChildren(lacking ?? said ?? "");
    else if (!banner.querySelector(".again")) {
      banner.replaceChildren(el("div", { class: "notice good again", role: "status" },
        el("p", {}, theirs(again.join(", "), 200), again.length > 1 ? " answer again; their" : " answers again; its", " jobs are missing from the list as it is."),
        el("button", { type: "button", onclick: readAnew }, "Read the list again")));
    }
  }

  /** Jobs shown as running, as they are now; and whether newer ones have come. */
  async function refresh() {
    const running = [...jobs.values()].filter((job) => job.state === "running").map((job) => job.id);
    for (let at = 0; at < Math.min(running.length, 5 * PAGE); at += PAGE) {
      const dbId = running.slice(at, at + PAGE);
      const { data } = await ask(AGAIN, { filter: [{ dbId }], sites: [...new Set(dbId.map((id) => jobs.get(id).site))] }, signal);
      for (const job of data.jobs.items) {
        const before = jobs.get(job.id);
        // a site uses its numbers again: another job under this one is not that job
        if (!before || before.jobId !== job.jobId || before.startTime !== job.startTime) continue;
        jobs.set(job.id, job);
        const old = rowOf(job.id);
        if (old && !old.contains(document.activeElement)) old.replaceWith(row(job, Number(old.ariaRowIndex) - 2));
      }
    }
    if (variables.order) return;
    const { data, errors } = await ask(LIST, { ...variables, first: 1 }, signal);
    drawBanner(data.jobs.sites, errors);
    const newest = data.jobs.items[0];
    const first = jobs.values().next().value;
    const isNewer = newest && !jobs.has(newest.id) && (!first || newest.startTime >= first.startTime);
    if (isNewer && !newer.firstChild) {
      newer.append(el("button", { type: "button", class: "newer", onclick: readAnew }, "Newer jobs have started: show them"));
      announce("Newer jobs have started");
    }
  }

  every(AGAIN_EVERY, signal, refresh);
  if (back) {
    const shown = [...jobs.values()];
    for (let at = 0; at < shown.length; at += PAGE) append(shown.slice(at, at + PAGE).map((job, i) => row(job, at + i)));
    table.hidden = !shown.length;
    drawFoot();
    banner.replaceChildren(said ?? "");
    if (back.place) goTo(back.place);
    recount();
    return;
  }
  recount();
  await next();
}
