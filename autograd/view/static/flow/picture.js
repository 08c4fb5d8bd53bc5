// The graph as SVG: boxes, arrows and frames, made when they come into sight and painted as the sweep goes on.

import { make, wantsStillness, write } from "./dom.js";
import { sign, thickness } from "./scales.js";
import { count, shorten, show, showWithin } from "./text.js";

// below these scales boxes say less, in larger letters, and at last nothing: [scale, class, width of a letter]
const DETAIL = [
  [0.12, "dots", 15.1],
  [0.36, "tiny", 15.1],
  [0.68, "small", 10.3],
  [Infinity, "", 7.25],
];
const FEW = 60; // boxes up to which everything is made at once
const MARKED = 600; // boxes up to which arrows have heads
const CROWDED = 1500; // arrows
const LAYERS = ["frames", "halos", "arrows", "labels", "boxes", "sparks"];
const ARROW_HEAD = {
  viewBox: "0 0 8 8",
  refX: 7,
  refY: 4,
  markerWidth: 11,
  markerHeight: 11,
  orient: "auto-start-reverse",
  markerUnits: "userSpaceOnUse",
};

export class Picture {
  /** `select(box)` and `openGroup(group)` are called for clicks, if not `dragged()`. */
  constructor(id, sweep, { select, openGroup, dragged }) {
    Object.assign(this, { id, sweep, select, openGroup, dragged });
    const marker = (kind) => make("marker", { id: `${id}-${kind}`, class: kind, ...ARROW_HEAD }, make("path", { d: "M0 .5 8 4 0 7.5z" }));
    const markers = ["plain", "positive", "negative", "zero", "bad"].map(marker);
    this.layers = Object.fromEntries(LAYERS.map((name) => [name, make("g", { class: name })]));
    this.content = make("g", { class: "camera" }, ...Object.values(this.layers));
    const role = { role: "group", "aria-label": "Computation graph" };
    this.svg = make("svg", { class: "graph", ...role }, make("defs", {}, ...markers), this.content);
  }

  /** Start with a view at a step; `cull` makes what is in sight. */
  open(view, step) {
    Object.assign(this, { view, step });
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.boxes = new Map(); // those that are made, by their number in the view
    this.arrows = new Map();
    this.activeArrows = [];
    this.traced = null; // the nodes on paths from the selected one to the output
    [, this.detail, this.letter] = DETAIL.at(-1);
    this.svg.classList.remove("small", "tiny", "dots");
    this.titles = view.frames.map((group, i) => {
      const [x, y, width, height] = view.layout.places[i];
      const text = shorten(this.sweep.groups[group].name, Math.max(4, Math.floor(width / 7.5)));
      this.layers.frames.append(make("rect", { x, y, width, height, rx: 12 }));
      const outer = this.sweep.groups[group].parent === null ? "frame outer" : "frame";
      this.layers.labels.append(make("text", { class: outer, x: x + 8, y: y + 13, text }));
      return { x: x + 8, y: y + 2, w: 7 * text.length, h: 14 };
    });
  }

  /** Make what has come into sight, remove what has left it. */
  cull({ width, height }, { x, y, k }) {
    const margin = 80 / k;
    const sight = { x: -x / k - margin, y: -y / k - margin, w: width / k + 2 * margin, h: height / k + 2 * margin };
    const seen = (b) => b.x < sight.x + sight.w && b.x + b.w > sight.x && b.y < sight.y + sight.h && b.y + b.h > sight.y;
    this.#setDetail(k);
    const { bounds, reach, arrows } = this.view;
    const few = bounds.length <= FEW;
    const focused = document.activeElement?.dataset?.box;
    const boxes = keep(this.boxes, bounds, (b, i) => few || String(i) === focused || seen(b), (i) => this.#makeBox(i));
    const crowded = arrows.length > CROWDED; // arrows that only pass through would hide what is there
    const ends = ({ tail, head }) => this.boxes.has(tail) || this.boxes.has(head);
    const shown = (r, i) => few || (seen(r) && (!crowded || ends(arrows[i])));
    this.paint({ boxes, arrows: keep(this.arrows, reach, shown, (i) => this.#makeArrow(i)) });
  }

  /** Choose how much boxes say, by the scale of the picture. */
  #setDetail(k) {
    const [, detail, letter] = DETAIL.find(([below]) => k < below);
    if (detail === this.detail) return;
    Object.assign(this, { detail, letter });
    for (const [, name] of DETAIL) if (name) this.svg.classList.toggle(name, name === detail);
    this.boxes.forEach((element, index) => {
      element.querySelector(".name").textContent = this.#shownName(index);
      this.#paintBox(index);
    });
  }

  /** The name of a box, as much as there is room for. */
  #shownName(index) {
    const { node } = this.view.boxes[index];
    const symbol = node === undefined || this.detail ? "" : (this.sweep.nodes[node].symbol ?? "");
    const room = (this.view.bounds[index].w - 18 - (symbol ? 7 * Math.min(symbol.length, 6) + 10 : 0)) / this.letter;
    return shorten(this.view.boxName(index), Math.max(Math.floor(room), 3));
  }

  #makeBox(index) {
    const { node, group } = this.view.boxes[index];
    const { x, y, w, h } = this.view.bounds[index];
    const leaf = node !== undefined && this.sweep.nodes[node].op === null;
    const input = leaf && this.sweep.nodes[node].input;
    const kind = node === undefined ? "group" : input ? "leaf input" : leaf ? "leaf" : node === this.sweep.output ? "node output" : "node";
    const symbol = node === undefined ? "" : (this.sweep.nodes[node].symbol ?? "");
    const g = make("g", {
      class: `box ${kind}`,
      "data-box": index,
      role: "button",
      tabindex: index === this.view.reading[0] ? 0 : -1,
      transform: `translate(${x} ${y})`,
      onclick: () => !this.dragged() && this.select(index),
      ondblclick: () => group !== undefined && this.openGroup(group),
      onfocus: () => this.#letTabReach(g),
    });
    if (group !== undefined) g.append(make("rect", { class: "under", x: 4, y: -4, width: w, height: h, rx: 9 }));
    g.append(
      make("rect", { class: "face", width: w, height: h, rx: leaf ? 18 : 9 }),
      make("text", { class: "name", x: 10, y: 18, text: this.#shownName(index) }),
      make("text", { class: "symbol", x: w - 9, y: 18, text: shorten(symbol, 7) }),
      make("text", { class: "data", x: 10, y: 34 }),
      make("text", { class: "adjoint", x: 10, y: 50 }),
      make("text", { class: "mark", x: w - 9, y: 34 }),
      make("text", { class: "change", x: w - 9, y: 50 }),
      make("g", { class: "bar", transform: `translate(10 ${h - 6})` }),
    );
    this.layers.boxes.append(g);
    return g;
  }

  #letTabReach(box) {
    this.layers.boxes.querySelectorAll('[tabindex="0"]').forEach((e) => e.setAttribute("tabindex", -1));
    box.setAttribute("tabindex", 0);
  }

  #makeArrow(index) {
    const points = this.view.layout.curves[index];
    const d = `M${points[0]} ${points[1]}C${points.slice(2).join(" ")}`;
    const path = make("path", { d, class: "arrow", fill: "none" });
    this.layers.arrows.append(path);
    const spot = this.view.layout.spots[index];
    if (spot) {
      path.label = make("text", { x: spot[0], y: spot[1] + 4, class: "message", "aria-hidden": "true" }); // read alone it says nothing
      this.layers.labels.append(path.label);
    }
    return path;
  }

  /** Bring boxes and arrows to the step. */
  paint({ boxes, arrows }) {
    for (const index of boxes) this.#paintBox(index);
    for (const index of arrows) this.#paintArrow(index);
  }

  #paintBox(index) {
    const element = this.boxes.get(index);
    if (!element) return;
    const { sweep } = this;
    const { node, members, arrivals } = this.view.boxes[index];
    const state = this.view.at(index, this.step);
    const [face, , , data, adjoint, mark, change, bar] = [...element.children].slice(element.children.length - 8);
    const known = state.computed;
    const room = Math.floor((this.view.bounds[index].w - 18) / this.letter);
    write(data, "text", node === undefined ? count(members, "node") : known ? showWithin(sweep.data[node], room) : "…");
    const prefix = this.detail === "tiny" ? "" : node === undefined ? "Σ " : "∂ ";
    const delta = state.complete ? this.#delta(index) : null;
    const shown = delta ? delta.value : state.adjoint;
    const before = delta ? delta.name : prefix;
    write(adjoint, "text", shown === null ? "" : before + showWithin(shown, room - before.length));
    write(adjoint, "class", `adjoint ${shown === null ? "" : sign(shown)}`);
    const changed = node === undefined ? { data: "", adjoint: "" } : sweep.changes(node);
    const fits = (text, beside) => (text.length + beside.textContent.length < (this.view.bounds[index].w - 18) / 7.2 ? text : "");
    write(mark, "text", this.#mark(node, state) || (known ? fits(changed.data, data) : ""));
    write(change, "text", state.complete ? fits(changed.adjoint, adjoint) : "");
    element.classList.toggle("changed", changed.data !== "" && known);
    const silent = node === undefined ? state.arrived.length > 0 : !sweep.adjoints[node];
    const dead = state.complete && !state.adjoint && silent && !sweep.nodes[node]?.input;
    const badValue = known && node !== undefined && !Number.isFinite(sweep.data[node]);
    const bad = badValue || (state.adjoint !== null && !Number.isFinite(state.adjoint));
    const first = node !== undefined && node === sweep.trouble.node;
    const classes = { waiting: !known && node !== undefined, dead, bad, first };
    for (const [name, on] of Object.entries(classes)) element.classList.toggle(name, Boolean(on));
    write(element, "aria-label", this.#boxLabel(index, state, dead, bad));
    paintBar(bar, arrivals, state.arrived, Number(face.getAttribute("width")) - 20);
  }

  /** The δ of a folded neuron, ∂output/∂z; of several observations their sum, the derivative by the bias. */
  #delta(index) {
    const { sums } = this.view.boxes[index];
    if (!sums.length) return null;
    const value = sums.reduce((total, node) => total + (this.sweep.adjoints[node] ?? 0), 0);
    return { name: sums.length > 1 ? "Σδ " : "δ ", value };
  }

  /** How many messages are still to come; once all have arrived, whether the finite difference agrees. */
  #mark(node, state) {
    const check = state.complete && node !== undefined && this.sweep.checks?.[node];
    const tick = check ? (check.agrees ? "✓" : "✗") : "";
    return state.pending && this.step >= this.view.seed ? `+${state.pending}` : tick;
  }

  #boxLabel(index, state, dead, bad) {
    const { node, members } = this.view.boxes[index];
    const parts = [this.view.boxName(index)];
    if (node === undefined) parts.push(`folded group of ${count(members, "node")}`);
    else if (state.computed) parts.push(`value ${show(this.sweep.data[node])}`);
    if (state.adjoint !== null) parts.push(`${node === undefined ? "messages add up to" : "derivative"} ${show(state.adjoint)}`);
    if (state.pending && this.step >= this.view.seed) parts.push(`${count(state.pending, "message")} still to come`);
    const check = state.complete && node !== undefined && this.sweep.checks?.[node];
    if (check) parts.push(check.agrees ? "finite difference agrees" : "finite difference differs");
    if (dead) parts.push("no gradient arrives");
    if (bad) parts.push("not finite");
    return parts.join(", ");
  }

  #paintArrow(index) {
    const element = this.arrows.get(index);
    if (!element) return;
    const arrow = this.view.arrows[index];
    const sent = arrow.step !== null && arrow.step <= this.step;
    const weight = sent ? null : this.view.weight(arrow);
    const kind = sent ? sign(arrow.sum) : weight === null ? "plain" : sign(weight);
    const classes = ["arrow", kind];
    if (weight !== null) classes.push("weight");
    else if (arrow.step === null) classes.push("silent");
    if (element.active) classes.push("active");
    if (this.traced) classes.push(this.#isTraced(arrow) ? "on" : "off");
    write(element, "class", classes.join(" "));
    const { largest, largestWeight } = this.view;
    element.style.strokeWidth = sent ? thickness(arrow.sum, largest) : weight === null ? "" : thickness(weight, largestWeight);
    const near = this.view.boxes.length <= MARKED;
    write(element, "marker-start", sent && near ? `url(#${this.id}-${kind})` : "");
    write(element, "marker-end", !sent && near ? `url(#${this.id}-${kind})` : "");
    if (!element.label) return;
    write(element.label, "text", sent ? show(arrow.sum) : weight === null ? "" : `w ${showWithin(weight, 8)}`);
    write(element.label, "class", `message ${kind}`);
  }

  #isTraced(arrow) {
    return arrow.messages.some((m) => this.traced.has(this.sweep.messages[m].operand));
  }

  // ---- marks

  /** Unmark what the last step was about. */
  deactivate() {
    this.layers.boxes.querySelectorAll(".active").forEach((e) => e.classList.remove("active"));
    for (const i of this.activeArrows) {
      const element = this.arrows.get(i);
      if (element) element.active = false;
      this.#paintArrow(i);
    }
    this.activeArrows = [];
  }

  /** Mark what a step is about. */
  activate({ boxes, arrows }) {
    this.activeArrows = arrows;
    const made = arrows.filter((i) => this.arrows.has(i));
    this.layers.halos.replaceChildren(...made.map((i) => make("path", { d: this.arrows.get(i).getAttribute("d") })));
    for (const i of made) {
      this.arrows.get(i).active = true;
      this.#paintArrow(i);
    }
    for (const i of boxes) this.boxes.get(i)?.classList.add("active");
  }

  /** Mark a box (or none), and the nodes on the paths that lead from it to the output. */
  trace(selected, nodes) {
    this.layers.boxes.querySelectorAll(".selected").forEach((e) => e.classList.remove("selected"));
    if (selected !== null) this.boxes.get(selected)?.classList.add("selected");
    this.traced = nodes;
    this.svg.classList.toggle("tracing", nodes !== null);
    const homes = nodes && new Set([...nodes].map((n) => this.view.home[n]));
    this.boxes.forEach((element, i) => element.classList.toggle("off", Boolean(homes) && !homes.has(i)));
    this.arrows.forEach((_, i) => this.#paintArrow(i));
  }

  /** A dot runs along what is sent, in so many milliseconds. */
  spark(duration) {
    if (wantsStillness()) return;
    this.layers.sparks.replaceChildren();
    const backward = this.view.steps[this.step].kind === "message";
    for (const index of this.activeArrows.slice(0, 12)) {
      const path = this.arrows.get(index);
      if (!path) continue;
      const dot = make("circle", { r: 5, class: backward ? sign(this.view.arrows[index].sum) : "plain" });
      dot.style.offsetPath = `path("${path.getAttribute("d")}")`;
      this.layers.sparks.append(dot);
      const way = backward ? ["100%", "0%"] : ["0%", "100%"];
      dot.animate({ offsetDistance: way }, { duration, easing: "ease-in-out" }).onfinish = () => dot.remove();
    }
  }

  focus(box) {
    this.boxes.get(box)?.focus();
  }

  // ---- what a callout must not cover

  /** The rectangles of boxes and titles. */
  texts() {
    return [...this.boxes.keys()].map((i) => this.view.bounds[i]).concat(this.titles);
  }

  /** Hide the numbers on arrows whose rectangle is covered, show the others. */
  hideMessages(isCovered) {
    this.arrows.forEach(({ label }, i) => {
      if (!label) return;
      const [x, y] = this.view.layout.spots[i];
      label.style.visibility = isCovered({ x: x - 33, y: y - 8, w: 66, h: 16 }) ? "hidden" : "";
    });
  }
}

/** Make the elements that are visible and not there, remove those that are not visible; the numbers of the new ones. */
function keep(made, places, isVisible, create) {
  const fresh = [];
  places.forEach((place, i) => {
    const visible = isVisible(place, i);
    const element = made.get(i);
    if (visible && !element) {
      made.set(i, create(i));
      fresh.push(i);
    } else if (!visible && element) {
      element.remove();
      element.label?.remove();
      made.delete(i);
    }
  });
  return fresh;
}

/** What has arrived, drawn as lengths by sign: cancellation shows as two long pieces and a small sum. */
function paintBar(bar, arrivals, arrived, width) {
  const size = (a) => (Number.isFinite(a.sum) ? Math.abs(a.sum) : 0);
  const all = arrivals.reduce((sum, a) => sum + size(a), 0);
  if (!all || !arrived.length) return bar.replaceChildren();
  const [plus, minus] = [1, -1].map((s) => arrived.filter((a) => a.sum * s > 0).reduce((sum, a) => sum + size(a), 0));
  const pieces = [
    ["rest", 0, all],
    ["positive", 0, plus],
    ["negative", plus, minus],
  ];
  if (!bar.children.length) bar.append(...pieces.map(([kind]) => make("rect", { class: kind, height: 2.5, rx: 1 })));
  pieces.forEach(([, from, length], i) => {
    write(bar.children[i], "x", (from / all) * width);
    write(bar.children[i], "width", (length / all) * width);
  });
}
