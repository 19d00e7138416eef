// A classic script, because it runs before the first paint: no flash of the other theme.
(() => {
  "use strict";
  const KEY = "conversimple-console-theme";
  const root = document.documentElement;

  function read() {
    try {
      const kept = localStorage.getItem(KEY);
      return kept === "light" || kept === "dark" ? kept : "system";
    } catch {
      return "system"; // storage is forbidden
    }
  }

  function set(theme) {
    root.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It lasts as long as the page, then.
    }
  }

  root.dataset.theme = read();
  globalThis.consoleTheme = { get: () => root.dataset.theme, set };
})();
