// What is done again and again while a page is shown and looked at.

/** Calls `work` every so many seconds until `signal`, but not in a hidden tab, and never twice at once. */
export function every(seconds, signal, work) {
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      await work();
    } catch (error) {
      if (!signal.aborted && !error.entries) console.error(error);
    } finally {
      busy = false;
    }
  }, seconds * 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}
