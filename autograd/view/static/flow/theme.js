// Light or dark: as the page around the viewer, or as the reader chose.

/** The viewer's own page, and the notebook around it if it may be looked at. */
function bodies() {
  const found = [document.body];
  try {
    if (window.parent !== window) found.push(window.parent.document.body);
  } catch {
    // a page of another origin does not show its theme
  }
  return found;
}

/** Whether the page around the viewer is dark: Jupyter, VS Code and some sites say so, elsewhere the system does. */
function surroundingsAreDark() {
  for (const body of bodies()) {
    if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
    if (["light", "dark"].includes(body?.dataset.theme)) return body.dataset.theme === "dark"; // a site made with Furo
    if (body?.className.includes?.("vscode-")) return /vscode-(dark|high-contrast(?!-light))/.test(body.className);
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Keeps an element's theme; `toggle` overrides the surroundings, `stop` ends the watching. */
export function followTheme(element) {
  let chosen = null;
  const apply = () => {
    element.dataset.theme = chosen ?? (surroundingsAreDark() ? "dark" : "light");
  };
  apply();
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", apply);
  const observer = new MutationObserver(apply);
  bodies().forEach((body) => observer.observe(body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-theme"] }));
  return {
    toggle() {
      chosen = element.dataset.theme === "dark" ? "light" : "dark";
      apply();
    },
    stop() {
      system.removeEventListener("change", apply);
      observer.disconnect();
    },
  };
}
