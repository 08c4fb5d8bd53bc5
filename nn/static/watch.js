// The panel of `fit(..., watch=True)`: where the model decides, and the losses so far.

const SHADES = [[86, 180, 233], [245, 245, 245], [230, 159, 0]]; // from the lowest to the highest output
const CLASSES = [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0], [240, 228, 66], [120, 120, 120]];
const LINES = { loss: "#0072b2", val_loss: "#d55e00" };
const readable = (colour) => `color-mix(in srgb, ${colour} 70%, currentColor)`; // on a dark page, too
const SIDE = 280; // of the square plane, in pixels of the page
const SVG = "http://www.w3.org/2000/svg";

const mixed = (share) => {
  const [from, to, part] = share < 0.5 ? [SHADES[0], SHADES[1], 2 * share] : [SHADES[1], SHADES[2], 2 * share - 1];
  return from.map((x, i) => Math.round(x + part * (to[i] - x)));
};
const lighter = (colour) => colour.map((x) => Math.round(x + 0.55 * (255 - x)));
const css = (colour) => `rgb(${colour.join(" ")})`;
const make = (name, attributes, ...children) => {
  const found = document.createElementNS(SVG, name);
  for (const [key, x] of Object.entries(attributes)) found.setAttribute(key, x);
  found.append(...children);
  return found;
};
const show = (x) => (x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(1) : String(Number(x.toPrecision(3))));

// ---- the plane of the two inputs ------------------------------------------------------------------------------

function drawPlane(canvas, { kind, points, box }, cells) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = SIDE * ratio;
  const count = Math.round(Math.sqrt(cells.length));
  const small = new OffscreenCanvas(count, count);
  const image = small.getContext("2d").createImageData(count, count);
  cells.forEach((cell, i) => {
    const colour = kind === "classes" ? lighter(CLASSES[cell % CLASSES.length]) : mixed(cell / 255);
    const row = count - 1 - Math.floor(i / count); // the first row lies at the bottom
    image.data.set([...colour, 255], 4 * (row * count + (i % count)));
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const paper = canvas.getContext("2d");
  paper.imageSmoothingEnabled = kind !== "classes";
  paper.drawImage(small, 0, 0, canvas.width, canvas.height);
  const [left, right, low, high] = box;
  for (const [x, y, target] of points) {
    const across = ((x - left) / (right - left)) * canvas.width;
    const up = (1 - (y - low) / (high - low)) * canvas.height;
    paper.beginPath();
    paper.arc(across, up, 3.2 * ratio, 0, 7);
    paper.fillStyle = css(kind === "value" ? mixed(target / 255) : CLASSES[target % CLASSES.length]);
    paper.strokeStyle = kind === "value" ? "#333" : "white";
    paper.lineWidth = ratio;
    paper.fill();
    paper.stroke();
  }
}

// ---- the losses -----------------------------------------------------------------------------------------------

function curve(history, epochs) {
  const width = 360, height = SIDE, left = 52, bottom = 30, top = 12;
  const numbers = Object.values(history).flatMap(({ y }) => y).filter((x) => Number.isFinite(x));
  const picture = make("svg", { viewBox: `0 0 ${width} ${height}`, class: "losses", role: "img" });
  if (!numbers.length) return picture;
  const low = Math.min(...numbers), high = Math.max(...numbers);
  const log = low > 0 && high > 10 * low;
  const scale = log ? Math.log10 : (x) => x;
  const [from, to] = [scale(low), scale(high)];
  const across = (epoch) => left + ((width - left - 10) * (epoch - 1)) / Math.max(1, epochs - 1);
  const up = (x) => top + (height - top - bottom) * (1 - (scale(x) - from) / (to - from || 1));
  picture.setAttribute("aria-label", Object.entries(history).map(([name, { y }]) => `${name} ${show(y.at(-1))}`).join(", "));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const x = from + part * (to - from);
    const y = top + (height - top - bottom) * (1 - part);
    picture.append(
      make("line", { x1: left, x2: width - 10, y1: y, y2: y, class: "grid" }),
      make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, show(log ? 10 ** x : x)),
    );
  }
  for (const epoch of [1, epochs]) {
    picture.append(make("text", { x: across(epoch), y: height - 10, "text-anchor": epoch === 1 ? "start" : "end" }, String(epoch)));
  }
  picture.append(make("text", { x: (left + width) / 2, y: height - 10, "text-anchor": "middle" }, "epoch"));
  Object.entries(history).forEach(([name, { x, y }], i) => {
    const steps = x.map((epoch, k) => [epoch, y[k]]).filter(([, number]) => Number.isFinite(number));
    const path = steps.map(([epoch, number], k) => `${k ? "L" : "M"}${across(epoch).toFixed(1)} ${up(number).toFixed(1)}`).join("");
    const end = steps.at(-1);
    const colour = readable(LINES[name] ?? "#009e73");
    if (!end) return;
    picture.append(
      make("path", { d: path, style: `stroke: ${colour}`, class: "line" }),
      make("circle", { cx: across(end[0]), cy: up(end[1]), r: 3, style: `fill: ${colour}` }),
      make("text", { x: width - 12, y: top + 12 + 16 * i, "text-anchor": "end", style: `fill: ${colour}` }, `${name.replace("_", " ")} ${show(end[1])}`),
    );
  });
  return picture;
}

// ---- the widget -----------------------------------------------------------------------------------------------

const STYLE = `
.nn-watch { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; font: 13px system-ui, sans-serif; color: var(--jp-ui-font-color1, currentColor); }
.nn-watch figure { margin: 0; flex: 0 1 auto; max-width: 100%; }
.nn-watch figcaption { margin-bottom: 4px; }
.nn-watch canvas { width: ${SIDE}px; max-width: 100%; aspect-ratio: 1; display: block; border-radius: 4px; }
.nn-watch svg { width: 360px; max-width: 100%; display: block; }
.nn-watch text { font: 11px system-ui, sans-serif; fill: currentColor; }
.nn-watch .grid { stroke: currentColor; opacity: 0.15; }
.nn-watch .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
`;

function render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = STYLE;
  const root = document.createElement("div");
  root.className = "nn-watch";
  el.append(style, root);
  const figure = (caption, child) => {
    const found = document.createElement("figure");
    const head = document.createElement("figcaption");
    head.append(caption);
    found.append(head, child);
    return found;
  };
  const canvas = document.createElement("canvas");
  const update = () => {
    const fixed = JSON.parse(model.get("fixed") || "null");
    const now = JSON.parse(model.get("now") || "null");
    if (!fixed || !now) return;
    const parts = [figure(now.text, curve(now.history, fixed.epochs))];
    if (now.cells) {
      drawPlane(canvas, fixed, Uint8Array.from(atob(now.cells), (c) => c.charCodeAt(0)));
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", fixed.caption);
      parts.unshift(figure(fixed.caption, canvas));
    }
    root.replaceChildren(...parts);
  };
  model.on("change:now", update);
  update();
}

export default { render };
