// The viewer: it holds the place in the sweep, and lets the picture, the camera, the playback and the panel show it.

import { Callout } from "./callout.js";
import { Camera } from "./camera.js";
import { Controls } from "./controls.js";
import { details } from "./details.js";
import { bdi, button, make } from "./dom.js";
import { buildFinder } from "./finder.js";
import { middle, union } from "./geometry.js";
import { Picture } from "./picture.js";
import { Playback } from "./playback.js";
import { printWhole } from "./print.js";
import { sign } from "./scales.js";
import { Sweep } from "./sweep.js";
import { followTheme } from "./theme.js";
import { View } from "./view.js";
import { WhatIf } from "./whatif.js";

let instances = 0;

/** The viewer in an element. */
export class Viewer {
  constructor(root, payload) {
    this.number = ++instances > 1 ? ` ${instances}` : ""; // landmarks of two viewers on a page have different names
    this.id = `flow${instances}-${Math.random().toString(36).slice(2, 8)}`;
    this.root = root;
    this.payload = payload;
    this.sweep = new Sweep(payload);
    this.whatIf = new WhatIf(payload.record);
    this.views = new Map();
    this.step = 0;
    this.selected = null;
    this.paths = null; // from the selected node to the output
    this.drawnStep = null;
    this.cleanups = [];
    this.#build();
    this.#listenToKeys();
    this.open(payload.first);
    const resized = new ResizeObserver(() => this.#resized());
    resized.observe(this.stage);
    this.cleanups.push(() => resized.disconnect(), printWhole(this));
  }

  destroy() {
    this.playback.pause();
    this.cleanups.forEach((clean) => clean());
    this.root.replaceChildren();
  }

  get playing() {
    return this.playback.playing;
  }

  get stageSize() {
    return this.camera.size;
  }

  // ---- the frame around the picture

  #build() {
    const { root, payload } = this;
    root.classList.add("gradient-flow");
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys rest while the focus is in here
    this.theme = followTheme(root);
    this.cleanups.push(this.theme.stop);
    this.playback = new Playback({
      goto: (step, animate) => this.goto(step, animate),
      step: () => this.step,
      last: () => this.view.last,
    });
    this.narration = make("div", { class: "narration", "aria-live": "polite", role: "status" });
    this.facts = make("div", { class: "facts" });
    this.controls = new Controls(this.id, this.sweep, this.whatIf, {
      change: (leaf, value) => this.change(new Map([[leaf, value]])),
      step: (rate, leaves) => this.descend(rate, leaves),
      reset: () => this.change(new Map([...this.whatIf.changes.keys()].map((leaf) => [leaf, this.whatIf.data[leaf]]))),
    });
    this.side = make("aside", { class: "side", "aria-label": `Details${this.number}`, tabindex: 0 }, this.facts, this.controls.element);
    const [toolbar, stage] = this.#buildStage();
    const main = make("div", { class: "main" }, toolbar, stage, this.narration, this.playback.element);
    root.replaceChildren(this.#buildHead(payload), make("div", { class: "body" }, main, this.side));
  }

  #buildHead(payload) {
    const levels = payload.views.flatMap((v, i) => (v.group === null ? [make("option", { value: i, text: v.name })] : []));
    const onchange = (event) => this.open(Number(event.target.value));
    this.levels = make("select", { class: "levels", "aria-label": "What to fold", onchange }, ...levels);
    this.crumbs = make("nav", { class: "crumbs", "aria-label": `Opened group${this.number}` });
    return make(
      "header",
      {},
      make("h2", { class: "title" }, bdi(payload.title)),
      this.crumbs,
      make("span", { class: "spacer" }),
      buildFinder(this.id, this.sweep, (node) => this.reveal(node)),
      levels.length > 1 ? make("label", { class: "fold" }, "Show ", this.levels) : null,
      button("theme", "Light or dark", () => this.theme.toggle()),
    );
  }

  #buildStage() {
    this.callout = new Callout();
    this.picture = new Picture(this.id, this.sweep, {
      select: (box) => this.select(box),
      openGroup: (group) => this.openGroup(group),
      dragged: () => this.camera.dragged,
    });
    this.camera = new Camera(this.picture.svg, this.picture.content, {
      onMove: () => {
        this.picture.cull(this.camera.size, this.camera.eye);
        this.callout.move(this.camera, this.picture);
      },
      wheelZooms: this.payload.standalone, // in a notebook the wheel scrolls the page
    });
    this.picture.svg.addEventListener("click", (event) => {
      if (!this.camera.dragged && !event.target.closest(".box")) this.select(null);
    });
    this.stage = make("div", { class: "stage", tabindex: -1 }, this.picture.svg, this.callout.element); // a click brings the keys here
    const zoom = make(
      "div",
      { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("plus", "Larger", () => this.camera.zoom(1.3)),
      button("minus", "Smaller", () => this.camera.zoom(1 / 1.3)),
      button("fit", "Show everything", () => this.#fit(true)),
    );
    return [make("div", { class: "toolbar" }, legend(), zoom), this.stage];
  }

  #resized() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height || window.matchMedia("print").matches) return; // paper is no stage
    const first = !this.camera.size;
    this.camera.size = { width, height };
    if (first || !this.camera.moved) this.#fit(false);
    else this.camera.aim(this.camera.eye);
  }

  /** What does not fit is shown at the active boxes; at the start, at the first operands, as only inputs have numbers then. */
  #fit(all) {
    const { steps, layout, outputBox, incoming, arrows } = this.view;
    const first = steps.find(({ kind }) => kind === "forward")?.box;
    const operands = (incoming[first] ?? []).map((i) => layout.centres[arrows[i].tail]);
    const [spot] = operands.sort(([a], [b]) => a - b);
    if (!this.camera.fit(all, (this.step === 0 && spot) || layout.centres[outputBox]) && this.step > 0) this.#showActive();
  }

  // ---- views

  /** Show a view: a level of folding, or one group opened. */
  open(index) {
    const { views, layouts } = this.payload;
    const time = this.view?.timeAt(this.step);
    if (!this.views.has(index)) this.views.set(index, new View(this.sweep, views[index], layouts[views[index].layout]));
    this.viewIndex = index;
    this.view = this.views.get(index);
    if (views[index].group === null) {
      this.level = index;
      this.levels.value = String(index);
    }
    this.step = time ? this.view.stepAt(time) : 0;
    this.selected = this.paths = this.drawnStep = null;
    this.playback.setRange(this.view.last, this.view.seed);
    this.#showCrumbs();
    this.callout.hide();
    this.picture.open(this.view, this.step);
    this.picture.trace(null, null);
    this.camera.content = this.view.layout.size;
    this.#fit(false);
    this.#refreshAll();
    this.#showSide();
  }

  #showCrumbs() {
    const { views } = this.payload;
    const trail = [];
    for (let g = this.view.group; g !== null; g = this.sweep.groups[g].parent) trail.unshift(g);
    const link = (text, index) => make("button", { type: "button", class: "crumb", onclick: () => this.open(index) }, bdi(text));
    const items = trail.map((g) => link(this.sweep.groups[g].name, views.findIndex((v) => v.group === g)));
    items.at(-1)?.setAttribute("aria-current", "true");
    const back = [button("up", "Back out", () => this.leave()), link("whole graph", this.level ?? 0)];
    this.crumbs.replaceChildren(...(items.length ? [...back, ...items] : []));
  }

  /** Close the opened group. */
  leave() {
    if (this.view.group === null) return;
    const parent = this.sweep.groups[this.view.group].parent;
    const index = parent === null ? -1 : this.payload.views.findIndex((v) => v.group === parent);
    this.open(index >= 0 ? index : (this.level ?? 0));
  }

  openGroup(group) {
    const index = this.payload.views.findIndex((v) => v.group === group);
    if (index >= 0) this.open(index);
  }

  /** Select a node, in a view in which it is not folded. */
  reveal(node) {
    const shown = (view) => this.payload.views[view].boxes.includes(node);
    if (!shown(this.viewIndex)) {
      const views = [...this.payload.views.keys()].filter(shown);
      const inside = views.filter((v) => this.payload.views[v].group === this.sweep.nodes[node].group);
      this.open(inside[0] ?? views[0] ?? this.viewIndex);
    }
    const box = this.view.home[node];
    if (box < 0) return;
    this.select(box);
    this.#look(this.view.bounds[box], true);
    this.picture.focus(box);
  }

  #look(part, readable = false) {
    this.camera.look(part, { readable, smooth: this.playback.slow });
  }

  // ---- stepping

  /** Go to a step; one step ahead may be animated. */
  goto(step, animate = false) {
    const to = Math.max(0, Math.min(this.view.last, Math.round(step)));
    const from = this.step;
    if (to === from && this.drawnStep === to) return;
    this.step = to;
    if (Math.abs(to - from) > 400) this.#refreshAll();
    else this.#refresh(this.view.changes(from, to));
    if (animate && this.playback.slow) this.picture.spark(Math.min(450, 800 / this.playback.speed));
    if (this.selected !== null) this.#showSide();
  }

  #refreshAll() {
    this.#refresh({ boxes: this.view.boxes.keys(), arrows: this.view.arrows.keys() });
  }

  /** Bring everything to the step; in the picture only what changes is painted. */
  #refresh(changed) {
    this.picture.step = this.step;
    this.picture.paint(changed);
    this.drawnStep = this.step;
    this.#showActive();
    this.#narrate();
    this.playback.show();
  }

  /** Mark what the step is about, show its equation beside it, and keep it in sight. */
  #showActive() {
    this.callout.hide(); // until it has the text of this step
    this.picture.deactivate();
    const { view } = this;
    const step = view.steps[this.step];
    const active = view.active(this.step);
    const [box] = active.boxes;
    if (this.drawnStep !== null && box >= 0) {
      const whole = step.kind === "message" ? this.camera.fitting(union([view.reach[step.arrow], view.bounds[box]])) : null;
      this.#look(whole ?? view.bounds[box]);
    }
    this.picture.activate(active);
    this.#showCallout(step);
  }

  #showCallout(step) {
    const { view } = this;
    if (step.kind === "message") {
      const arrow = view.arrows[step.arrow];
      this.callout.show(view.arrowText(arrow), sign(arrow.sum), middle(view.layout.curves[step.arrow]));
    } else if (step.kind === "forward" && view.boxes[step.box].node !== undefined) {
      this.callout.show(this.sweep.numbers(view.boxes[step.box].node), "plain", view.layout.centres[step.box], 30);
    } else {
      this.picture.hideMessages(() => false);
    }
    this.callout.move(this.camera, this.picture);
  }

  #narrate() {
    const { phase, title, equation, note, slope } = this.view.describe(this.step);
    const kind = this.view.steps[this.step].kind;
    const badge = { start: "start", forward: "forward", seed: "backward", message: "backward" }[kind];
    this.narration.dataset.phase = phase;
    this.narration.replaceChildren(
      make("span", { class: "badge", text: badge }),
      make("bdi", { class: "what", text: title }),
      make("span", { class: "equation", text: equation }),
      make("span", { class: "note", title: note }, slope ? bdi(slope, "slope") : "", slope ? " · " : "", bdi(note)),
    );
  }

  // ---- selecting

  select(index) {
    this.selected = index;
    const node = index === null ? undefined : this.view.boxes[index].node;
    if (node !== undefined && this.sweep.nodes[node].op === null) this.controls.reveal(node);
    this.#findPaths();
    this.picture.trace(index, this.paths && this.paths.nodes);
    this.#showSide();
  }

  #findPaths() {
    const node = this.selected === null ? undefined : this.view.boxes[this.selected].node;
    this.paths = node === undefined ? null : this.sweep.paths(node);
  }

  #showSide() {
    const { sweep, view, step, selected, paths } = this;
    const { title, history } = this.payload;
    const links = { reveal: (node) => this.reveal(node), openGroup: (group) => this.openGroup(group) };
    const { whatIf } = this;
    this.facts.replaceChildren(...details({ sweep, whatIf, view, step, selected, paths, title, history }, links));
  }

  // ---- the keyboard

  #listenToKeys() {
    const keys = (event) => this.#key(event);
    const listener = this.payload.standalone ? document : this.root; // in a notebook the other keys are not ours
    listener.addEventListener("keydown", keys);
    this.cleanups.push(() => listener.removeEventListener("keydown", keys));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    if (event.target.closest?.(".whatif")) return event.stopPropagation(); // its sliders and fields have keys of their own
    const onButton = event.target.tagName === "BUTTON";
    const box = event.target.closest?.(".box");
    const actions = {
      ArrowRight: () => this.goto(this.step + 1, true),
      ArrowLeft: () => this.goto(this.step - 1),
      Home: () => this.goto(0),
      End: () => this.goto(Infinity),
      Escape: () => (this.selected === null ? this.leave() : this.select(null)),
      " ": onButton || box ? null : () => this.playback.toggle(),
      ArrowDown: box && (() => this.#focusBox(box, 1)),
      ArrowUp: box && (() => this.#focusBox(box, -1)),
    };
    if (box && (event.key === " " || event.key === "Enter")) actions[event.key] = () => this.#activate(Number(box.dataset.box));
    if (!actions[event.key]) return;
    actions[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  #activate(box) {
    const { group } = this.view.boxes[box];
    if (this.selected === box && group !== undefined) this.openGroup(group);
    else this.select(box);
  }

  #focusBox(element, by) {
    const order = this.view.reading;
    const next = order[(order.indexOf(Number(element.dataset.box)) + by + order.length) % order.length];
    this.#look(this.view.bounds[next]);
    this.picture.cull(this.camera.size, this.camera.eye);
    this.picture.focus(next);
  }

  // ---- what if

  /** Give leaves other numbers; everything that depends on them follows. */
  change(leaves) {
    const { whatIf } = this;
    leaves.forEach((value, leaf) => whatIf.set(leaf, value));
    this.onChange?.(whatIf.changes);
    const blocked = whatIf.blocked();
    if (blocked < 0) return this.#recompute();
    const name = `${this.sweep.name(blocked)} = ${this.sweep.nodes[blocked].op}(…)`;
    const remedy = this.onChange ? "Waiting for Python …" : "In a notebook with a kernel, flow(…).widget() can.";
    this.controls.show(`${name} is not a primitive of the table, so this page cannot compute it. ${remedy}`);
  }

  /** A gradient step: each of these leaves moves by -rate times its derivative. */
  descend(rate, leaves) {
    const { adjoints, data } = this.sweep;
    if (!Number.isFinite(rate)) return;
    this.change(new Map(leaves.filter((leaf) => adjoints[leaf] !== null).map((leaf) => [leaf, data[leaf] - rate * adjoints[leaf]])));
  }

  /** Show the numbers for the changes, at the end of the sweep if nothing has been computed yet. */
  #recompute() {
    this.#take(this.whatIf.numbers());
  }

  /** Take what Python computed for some changes, or the error that it met. */
  answer(changes, record, error) {
    this.whatIf.changes = new Map(Object.entries(changes).map(([leaf, value]) => [Number(leaf), value]));
    if (error) this.controls.show(error);
    else this.#take(this.whatIf.changes.size ? record : this.payload.record);
  }

  #take(numbers) {
    const { whatIf, view } = this;
    const atEnd = this.step === view.last || this.step === 0;
    this.sweep.update({ ...this.payload.record, ...numbers });
    this.sweep.before = whatIf.changes.size ? { data: whatIf.data, adjoints: whatIf.adjoints, local: whatIf.local } : null;
    this.#renew();
    if (atEnd && this.step !== this.view.last) this.goto(this.view.last);
    this.controls.show();
  }

  // ---- while training

  /** Take the numbers of a new sweep of the same graph; view, step and selection stay. */
  update(record, history) {
    this.payload.record = { ...this.payload.record, ...record };
    this.payload.history = history;
    this.whatIf.start(this.payload.record);
    this.sweep.update(record);
    this.sweep.before = null;
    this.#renew();
    this.controls.show();
  }

  #renew() {
    this.views.forEach((view) => view.refresh());
    this.step = Math.min(this.step, this.view.last);
    this.playback.setRange(this.view.last, this.view.seed);
    this.#findPaths();
    this.picture.traced = this.paths && this.paths.nodes;
    this.#refreshAll();
    this.#showSide();
  }
}

function legend() {
  const entry = (kind, text) => make("span", { class: `key ${kind}` }, make("i", {}), text);
  const entries = [entry("positive", "positive"), entry("negative", "negative"), entry("zero", "zero"), entry("bad", "not finite")];
  return make("div", { class: "legend", "aria-hidden": "true" }, ...entries);
}
