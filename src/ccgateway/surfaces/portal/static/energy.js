// Energy used, added up from jobs, as no site tells a sum of it.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { number } from "./format.js";

/** Jobs of which it is read: more would keep the sites busy for a column. */
export const MOST_JOBS = 5000;
const PAGE = 500;
const ROWS = `query Energy($filter: [JobFilter!], $first: Int, $after: String) { jobs(filter: $filter, first: $first, after: $after) {
  items { id site cluster subCluster user project energy } pageInfo { endCursor hasNextPage } complete } }`;
const KEYS = { USER: "user", PROJECT: "project", CLUSTER: "cluster", SUBCLUSTER: "subCluster", SITE: "site" };

/** The energy of each group, and under `null` of all: `{kWh, known, jobs, whole}`, `known` of the `jobs` having it told, `whole` where no
 * site is missing. `read(jobs)` hears how many were read so far. Raises `Trouble`. */
export async function energyBy(by, filter, signal, read) {
  const sums = new Map([[null, { kWh: 0, known: 0, jobs: 0 }]]);
  const seen = new Set();
  let whole = true;
  for (let after = null, more = true; more && seen.size <= MOST_JOBS;) {
    const { jobs } = (await ask(ROWS, { filter, first: PAGE, after }, signal)).data;
    for (const job of jobs.items) {
      if (seen.has(job.id)) continue;
      seen.add(job.id);
      const group = job[KEYS[by]];
      if (!sums.has(group)) sums.set(group, { kWh: 0, known: 0, jobs: 0 });
      for (const sum of [sums.get(null), sums.get(group)]) {
        sum.jobs += 1;
        // zero is what sites say that know nothing, and of jobs that run
        if (job.energy > 0) [sum.kWh, sum.known] = [sum.kWh + job.energy, sum.known + 1];
      }
    }
    ({ endCursor: after, hasNextPage: more } = jobs.pageInfo);
    whole &&= jobs.complete;
    read(seen.size);
  }
  for (const sum of sums.values()) sum.whole = whole;
  return sums;
}

/** How a sum stands in a table: what it is, and of how many jobs it is known; a dash where it is known of none. */
export function energyCell(sum, why) {
  const quality = !sum?.known ? "REFUSED" : sum.whole && sum.known === sum.jobs ? "EXACT" : "BOUNDED";
  const others = sum?.whole === false ? "a site is missing, and others may run or not be told of" : "the others run, or their sites do not tell it";
  const title = why ?? (!sum?.known ? "Of none of these jobs it is told." : quality === "EXACT" ? `of all ${number(sum.jobs)} jobs` : `of ${number(sum.known)} of ${number(sum.jobs)} jobs: ${others}`);
  return el("td", { class: "num kwh", data: { quality }, title },
    quality === "BOUNDED" ? el("abbr", { class: "about", title }, "≥") : null, sum?.known ? ` ${number(sum.kWh)}` : "–",
    quality === "EXACT" ? null : el("span", { class: "hidden" }, ` ${title}`));
}
