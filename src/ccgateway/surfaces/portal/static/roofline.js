// The roofline of a job: floating point rate over operational intensity, below what its nodes can do.

import { el, svg } from "./dom.js";
import { factor, number } from "./format.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [640, 340, 62, 44, 14, 14];
const MOST_POINTS = 3000;

/** Samples of a metric by host, in base units: those of the node, else the sum of its parts. */
function byHost(entries, name) {
  const found = entries.filter((entry) => entry.name === name);
  const entry = found.find((one) => one.scope === "node") ?? found[0];
  if (!entry?.metric.series?.length) return null;
  const hosts = new Map();
  for (const series of entry.metric.series) {
    const sums = hosts.get(series.hostname) ?? [];
    series.data.forEach((value, i) => { sums[i] = value === null || sums[i] === null ? null : (sums[i] ?? 0) + value * factor(entry.metric.unit); });
    hosts.set(series.hostname, sums);
  }
  return { hosts, step: entry.metric.timestep };
}

/** `[flop/byte, flop/s]` of each sample of each host that has both. */
export function pointsOf(entries) {
  const [flops, bytes] = [byHost(entries, "flops_any"), byHost(entries, "mem_bw")];
  if (!flops || !bytes || flops.step !== bytes.step) return [];
  const points = [];
  for (const [host, rates] of flops.hosts) {
    const bandwidth = bytes.hosts.get(host) ?? [];
    rates.forEach((rate, i) => { if (rate > 0 && bandwidth[i] > 0) points.push([rate / bandwidth[i], rate]); });
  }
  const every = Math.ceil(points.length / MOST_POINTS);
  return every > 1 ? points.filter((_, i) => i % every === 0) : points;
}

const siteUnit = (value) => (value ? value.value * factor(value.unit) : 0);

/** The drawing; null where the site has not both metrics. */
export function roofline(entries, subCluster) {
  const points = pointsOf(entries);
  if (!points.length) return null;
  const roofs = [["SIMD", siteUnit(subCluster?.flopRateSimd)], ["scalar", siteUnit(subCluster?.flopRateScalar)]].filter(([, rate]) => rate > 0);
  const bandwidth = siteUnit(subCluster?.memoryBandwidth);
  const knees = bandwidth ? roofs.map(([, rate]) => rate / bandwidth) : [];
  const span = (values) => [10 ** Math.floor(Math.log10(Math.min(...values))), 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.01))];
  const extreme = (i, more) => span([points.reduce((a, p) => Math.min(a, p[i]), Infinity), points.reduce((a, p) => Math.max(a, p[i]), 0), ...more]);
  const [left, right] = extreme(0, knees), [low, high] = extreme(1, roofs.map(([, rate]) => rate));
  const x = (value) => LEFT + ((Math.log10(value) - Math.log10(left)) / (Math.log10(right) - Math.log10(left))) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((Math.log10(value) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))) * (HEIGHT - BOTTOM - TOP);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Roofline: ${points.length} samples`, class: "roofline" });
  for (let at = left; at <= right * 1.001; at *= 10) {
    drawing.append(svg("line", { x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM, class: "rule" }), svg("text", { x: x(at), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, number(at, 4).replace(/0+$/, (zeros) => (at < 1 ? "" : zeros))));
  }
  for (let at = low; at <= high * 1.001; at *= 10) {
    drawing.append(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(at), y2: y(at), class: "rule" }), svg("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, number(at / 1e9)));
  }
  drawing.append(svg("text", { x: (WIDTH + LEFT) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, "flop for each byte"), svg("text", { x: LEFT + 6, y: TOP + 12 }, "GF/s"));
  for (const [x0, y0] of points) drawing.append(svg("circle", { cx: x(x0).toFixed(1), cy: y(y0).toFixed(1), r: 2.5, class: "point" }));
  for (const [name, rate] of roofs) {
    const begins = bandwidth ? Math.max(left, Math.min(right, rate / bandwidth)) : left;
    const start = bandwidth ? [Math.max(left, low / bandwidth), Math.max(low, left * bandwidth)] : null;
    drawing.append(svg("polyline", { points: [start && start[0] < begins ? `${x(start[0])},${y(start[1])}` : "", `${x(begins)},${y(rate)}`, `${x(right)},${y(rate)}`].join(" ").trim(), class: "roof" }));
    drawing.append(svg("text", { x: WIDTH - RIGHT - 4, y: y(rate) - 5, "text-anchor": "end" }, `${name} ${number(rate / 1e9)} GF/s`));
  }
  return el("section", { class: "card" }, el("h2", {}, "Roofline"), el("p", { class: "muted" }, "Each point is one sample of one node. Lines are what a node of this sub-cluster can do."), drawing);
}
