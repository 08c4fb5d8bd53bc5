// Elements of the page.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = ["svg", "g", "path", "rect", "circle", "text", "defs", "marker", "title"];
const ICONS = {
  first: "M6 5v14M19 5l-9 7 9 7z",
  back: "M16 5l-9 7 9 7z",
  play: "M7 4l13 8-13 8z",
  pause: "M7 5h3v14H7zM14 5h3v14h-3z",
  forward: "M8 5l9 7-9 7z",
  last: "M18 5v14M5 5l9 7-9 7z",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  up: "M12 19V6M6 11l6-6 6 6",
};

/** An element with attributes (`text`, `class`, `on…` handlers among them) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Write a text or an attribute, if it is another one: what is written again is laid out again. */
export function write(element, name, value) {
  if (name === "text") {
    if (element.textContent !== value) element.textContent = value;
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

export const icon = (name) =>
  make("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon icon-${name}` }, make("path", { d: ICONS[name] }));

export const button = (name, label, onclick) =>
  make("button", { type: "button", class: `button ${name}`, "aria-label": label, title: label, onclick }, icon(name));

/** A label in its own direction of writing. */
export const bdi = (text, className) => make("bdi", { text, class: className });

export const wantsStillness = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
