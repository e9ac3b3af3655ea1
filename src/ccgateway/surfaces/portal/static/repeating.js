// What is done again and again while a page is shown and looked at.

// why what is shown is not as it is now, by the work that fails
const failing = new Map();

function note(work, error) {
  if (error) failing.set(work, error);
  else failing.delete(work);
  document.dispatchEvent(new CustomEvent("stale", { detail: failing.values().next().value ?? null }));
}

/** Calls `work` every so many seconds until `signal`, never twice at once; not in a hidden tab, but as soon as it is shown again.
 * While it fails, what is shown is called stale. */
export function every(seconds, signal, work) {
  let busy = false;
  const again = async () => {
    if (busy || document.hidden || signal.aborted) return;
    busy = true;
    try {
      await work();
      if (!signal.aborted) note(work, null);
    } catch (error) {
      if (!signal.aborted) note(work, error);
      if (!signal.aborted && !error.entries) console.error(error);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(again, seconds * 1000);
  document.addEventListener("visibilitychange", again, { signal });
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    note(work, null);
  });
}
