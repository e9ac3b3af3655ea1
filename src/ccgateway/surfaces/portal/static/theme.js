// Runs before the page is drawn, so that it is drawn in the chosen theme from the start.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
