// One drawing of series over time, by uPlot.

import { assets } from "./assets.js";
import { el } from "./dom.js";
import { number } from "./format.js";

const SHOWN_ALONE = 4;
let library = null;

/** uPlot, loaded when it is first needed. */
export function loadUplot() {
  library ??= new Promise((resolve, reject) => {
    document.head.append(
      el("link", { rel: "stylesheet", href: `${assets}/uplot.css` }),
      el("script", { src: `${assets}/uplot.js`, onload: () => resolve(globalThis.uPlot), onerror: () => { library = null; reject(new Error("uplot.js did not load")); } }),
    );
  });
  return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `{name, data, lines, band}` of the columns to draw: each series, or lowest, mean and highest of many. */
export function columnsOf(metric, { each = false } = {}) {
  const series = metric.series ?? [];
  const all = metric.statisticsSeries;
  const length = Math.max(0, ...series.map((one) => one.data.length), all ? all.max.length : 0);
  if ((each || series.length <= SHOWN_ALONE) && series.length) {
    return { isBand: false, length, columns: series.map((one) => ({ name: one.id === null ? one.hostname : `${one.hostname} ${one.id}`, data: padded(one.data, length) })) };
  }
  if (all && all.max.length) {
    const middle = all.mean.length ? ["mean", all.mean] : ["median", all.median];
    return { isBand: true, length, columns: [["lowest", all.min], middle, ["highest", all.max]].map(([name, data]) => ({ name, data: padded(data, length) })) };
  }
  const at = (read) => Array.from({ length }, (_, i) => {
    const values = series.map((one) => one.data[i]).filter((value) => value !== null && value !== undefined);
    return values.length ? read(values) : null;
  });
  return {
    isBand: true, length,
    columns: [
      { name: "lowest", data: at((values) => values.reduce((a, b) => Math.min(a, b))) },
      { name: "mean", data: at((values) => values.reduce((a, b) => a + b, 0) / values.length) },
      { name: "highest", data: at((values) => values.reduce((a, b) => Math.max(a, b))) },
    ],
  };
}

const padded = (data, length) => Array.from({ length }, (_, i) => data[i] ?? null);

/** Draws `metric` (from `start`, epoch seconds) into `box`. `zoomed(from, to)` is told of a range that was chosen, or nulls. */
export async function drawChart(box, metric, { start, label, unit, levels, range, each, zoomed }) {
  const uPlot = await loadUplot();
  const { isBand, length, columns } = columnsOf(metric, { each });
  const times = Array.from({ length }, (_, i) => start + i * metric.timestep);
  const strokes = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6", "--line-7", "--line-8"].map(color);
  const tip = el("div", { class: "tip", "aria-hidden": "true" });
  const axis = { stroke: color("--muted"), grid: { stroke: color("--rule"), width: 1 }, ticks: { stroke: color("--rule"), width: 1 }, font: "12px system-ui, sans-serif" };
  const bounds = levels.filter(([, value]) => value > 0);
  const plot = new uPlot({
    width: Math.max(240, box.clientWidth), height: 220, padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, focus: { prox: 24 } },
    scales: { x: range ? { min: range[0], max: range[1] } : {}, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
    axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => number(tick)) }],
    series: [{}, ...columns.map((one, i) => isBand
      ? { label: one.name, stroke: i === 1 ? strokes[0] : color("--band-edge"), width: i === 1 ? 1.8 : 1, points: { show: false } }
      : { label: one.name, stroke: strokes[i % strokes.length], width: 1.5, points: { show: length < 2 } })],
    bands: isBand ? [{ series: [3, 1], fill: color("--band") }] : [],
    hooks: {
      drawAxes: [(drawn) => {
        for (const [name, value] of bounds) {
          const y = drawn.valToPos(value, "y", true);
          if (y < drawn.bbox.top || y > drawn.bbox.top + drawn.bbox.height) continue;
          drawn.ctx.save();
          drawn.ctx.strokeStyle = color(`--${name}`);
          drawn.ctx.setLineDash([5, 5]);
          drawn.ctx.beginPath();
          drawn.ctx.moveTo(drawn.bbox.left, y);
          drawn.ctx.lineTo(drawn.bbox.left + drawn.bbox.width, y);
          drawn.ctx.stroke();
          drawn.ctx.restore();
        }
      }],
      setSelect: [(drawn) => {
        if (drawn.select.width < 4) return;
        const from = drawn.posToVal(drawn.select.left, "x"), to = drawn.posToVal(drawn.select.left + drawn.select.width, "x");
        drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        zoomed(from, to);
      }],
      setCursor: [(drawn) => {
        const i = drawn.cursor.idx;
        tip.hidden = i === null || i === undefined || drawn.cursor.left < 0;
        if (tip.hidden) return;
        const when = new Date(times[i] * 1000);
        const values = columns.map((one) => `${one.name} ${one.data[i] === null ? "no value" : number(one.data[i])}`);
        tip.textContent = `${when.toLocaleTimeString()} (${when.toISOString().slice(11, 19)} UTC)\n${values.slice(0, 10).join("\n")}${unit ? `\n${unit}` : ""}`;
        tip.style.left = `${Math.min(drawn.cursor.left + 70, box.clientWidth - 170)}px`;
      }],
    },
  }, [times, ...columns.map((one) => one.data)], box);
  plot.over.addEventListener("dblclick", () => zoomed(null, null));
  plot.root.setAttribute("role", "img");
  plot.root.setAttribute("aria-label", label);
  tip.hidden = true;
  box.append(tip);
  const resized = new ResizeObserver(() => {
    if (box.clientWidth > 0 && box.clientWidth !== plot.width) plot.setSize({ width: Math.max(240, box.clientWidth), height: 220 });
  });
  resized.observe(box);
  return { times, columns, end: () => { resized.disconnect(); plot.destroy(); tip.remove(); } };
}
