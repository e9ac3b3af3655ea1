// A histogram as bars, each with its words.

import { el, svg, theirs } from "./dom.js";
import { number } from "./format.js";
import { csvButton } from "./table_files.js";

const [WIDTH, HEIGHT, BOTTOM] = [480, 180, 24];

/** Bars of `[label, count]`; without bins the reason why there are none. Empty bins at the end are left out. */
export function histogram(title, bins, reason) {
  const box = el("figure", { class: "card chart" });
  const last = bins ? bins.findLastIndex(([, count]) => count > 0) : -1;
  const shown = bins?.slice(0, last + 1) ?? [];
  const caption = el("figcaption", {}, el("h3", {}, theirs(title, 80)), shown.length ? csvButton("CSV", `histogram-${title.split(",")[0].toLowerCase()}.csv`, () => [["bin", "jobs"], bins]) : null);
  if (!shown.length) {
    box.append(caption, el("p", { class: "muted" }, reason ? theirs(reason, 300) : "Nothing to count."));
    return box;
  }
  const most = shown.reduce((a, [, count]) => Math.max(a, count), 1);
  const step = WIDTH / shown.length;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${shown.map(([label, count]) => `${label}: ${count}`).join(", ").slice(0, 2000)}` });
  const labelled = Math.ceil(shown.length / 6);
  shown.forEach(([label, count], i) => {
    const height = (count / most) * (HEIGHT - BOTTOM - 14);
    drawing.append(svg("rect", { x: i * step + step * 0.08, width: step * 0.84, y: HEIGHT - BOTTOM - height, height, rx: 2, class: "bin" },
      svg("title", {}, `${label}: ${number(count)} jobs`)));
    if (i % labelled === 0) drawing.append(svg("text", { x: i * step + step / 2, y: HEIGHT - 6, "text-anchor": "middle" }, label));
  });
  drawing.append(svg("text", { x: 2, y: 11 }, `${number(most)} jobs`));
  box.append(caption, drawing);
  return box;
}
