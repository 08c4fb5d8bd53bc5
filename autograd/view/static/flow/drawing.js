// A drawing of `draw` in a notebook: in a size that can be read, moved by dragging, zoomed by buttons.

import { Camera } from "./camera.js";
import { button, make } from "./dom.js";

/** Take the picture of the page into a frame that zooms. */
export function start() {
  const svg = document.querySelector("svg");
  const { width, height } = svg.viewBox.baseVal;
  const layer = make("g", { class: "camera" }, ...svg.childNodes);
  layer.style.transformOrigin = "0 0";
  svg.replaceChildren(layer);
  for (const name of ["viewBox", "width", "height"]) svg.removeAttribute(name);
  svg.setAttribute("tabindex", 0);
  const frame = svg.getBoundingClientRect();
  const ends = [...svg.querySelectorAll(".node")].map((node) => node.getBoundingClientRect());
  const last = ends.reduce((found, box) => (found && found.right >= box.right ? found : box), null); // the output
  const output = last ? [last.right - frame.left, (last.top + last.bottom) / 2 - frame.top] : [width, height / 2];
  const camera = new Camera(svg, layer, { onMove: () => {}, smallest: 0.9, readable: 1.2 });
  camera.content = [width, height];
  const fit = (all) => camera.fit(all, output);
  document.querySelector("main").append(
    make(
      "div",
      { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("plus", "Larger", () => camera.zoom(1.3)),
      button("minus", "Smaller", () => camera.zoom(1 / 1.3)),
      button("fit", "Show everything", () => fit(true)),
    ),
  );
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  svg.addEventListener("keydown", (event) => {
    const by = moves[event.key];
    if (event.key === "+" || event.key === "-") camera.zoom(event.key === "+" ? 1.2 : 1 / 1.2);
    else if (by) camera.aim({ ...camera.eye, x: camera.eye.x + by[0], y: camera.eye.y + by[1] });
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => {
    camera.size = { width: svg.clientWidth || innerWidth, height: svg.clientHeight || innerHeight };
    if (!camera.moved) fit(false);
  }).observe(svg);
  window.drawing = camera;
  try {
    window.frameElement?.parentElement.querySelector(".gradient-flow-picture")?.remove();
  } catch {
    // in a frame of another origin the picture stays beside this one
  }
}
