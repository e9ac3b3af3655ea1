"""The portal in a browser: until something is painted, until the list is there, frames while it scrolls, drawing a long chart.

``python -m benchmarks portal`` needs Chromium and the development environment. Sites are simulated and in the same process as the
gateway, so that what is measured is the pages'.
"""

from __future__ import annotations

from ccgateway.simulator import demo_sites
from surfaces.portal.browsing import CHROMIUM, chromium, portal, view

ROWS = 10_000
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SCROLL = """async rows => {
  const table = document.querySelector('table.jobs');
  const page = table.tBodies[0];
  for (let shown = page.rows.length; shown < rows; shown += page.rows.length) table.append(page.cloneNode(true));
  // all of them are laid out once, which is not scrolling
  for (let i = 0; i < 5; i++) await new Promise(requestAnimationFrame);
  let frames = 0;
  const begun = performance.now();
  while (performance.now() - begun < 3000) {
    scrollBy(0, 120);
    await new Promise(requestAnimationFrame);
    frames++;
  }
  return frames / ((performance.now() - begun) / 1000);
}"""
DRAW = """async () => {
  const script = document.querySelector('script[type=module]').src;
  const { drawChart, loadUplot } = await import(script.replace('portal.js', 'chart.js'));
  await loadUplot();
  const box = document.createElement('div');
  document.querySelector('main').append(box);
  const data = Array.from({ length: 20000 }, (_, i) => Math.sin(i / 50) + 2);
  const metric = { timestep: 10, series: [{ hostname: 'a', id: null, data }], statisticsSeries: null };
  const begun = performance.now();
  await drawChart(box, metric, { start: 1e9, label: '', unit: '', levels: [], range: null, each: false, zoomed() {} });
  return performance.now() - begun;
}"""


async def pages_in_a_browser() -> None:
    """Prints the four figures."""
    if CHROMIUM is None:
        print("The portal is left out: no Chromium is installed.")
        return
    async with chromium() as browser, portal(*demo_sites()) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        await page.locator("table.jobs tbody tr").first.wait_for()
        listed = await page.evaluate("performance.now()")
        print(f"first contentful paint      {await page.evaluate(PAINTED):8.0f} ms")
        print(f"list of five sites is there {listed:8.0f} ms")
        print(f"chart of 20 000 samples     {await page.evaluate(DRAW):8.0f} ms")
        print(f"scrolling {ROWS} rows       {await page.evaluate(SCROLL, ROWS):8.1f} frames/s")
