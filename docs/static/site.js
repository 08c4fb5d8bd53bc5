// What screen readers and keyboards need, and the theme does not write.

function name(selector, label) {
  for (const element of document.querySelectorAll(selector)) element.setAttribute("aria-label", label);
}

/** Whatever scrolls can be reached by keys. */
function reachable() {
  for (const element of document.querySelectorAll("pre, .table-wrapper, div.math, .output")) {
    if (element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

// A page that was opened as a file may not read other files, so its search shows titles only.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  name(".sidebar-drawer", "Pages of the site");
  name(".toc-drawer", "Sections of this page");
  for (const heading of document.querySelectorAll("[role=heading]:not([aria-level])")) heading.ariaLevel = "2";
  if (!document.querySelector("h1")) {
    document.querySelector("article")?.prepend(Object.assign(document.createElement("h1"), { textContent: "Search" }));
  }
  new ResizeObserver(reachable).observe(document.body);
});
