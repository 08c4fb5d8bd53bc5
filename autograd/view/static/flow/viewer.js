// The gradient-flow viewer: one module for notebooks (anywidget) and for saved pages. It computes no derivative: it
// shows a sweep that was recorded in Python. The first part is pure and tested by itself, the second part draws.

// ---- numbers and texts ----------------------------------------------------------------------------------------

const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** JSON has no nan and no infinity: they come as strings. */
export const number = (x) => (typeof x === "string" ? SPECIAL[x] : x);

/** A number as formulas print it: four significant digits and a true minus sign (`show` in Python). */
export function show(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return Object.is(x, -0) ? "−0" : "0";
  const [mantissa, power] = x.toExponential(3).split("e");
  const exponent = Number(power);
  const text =
    exponent < -4 || exponent >= 4
      ? `${trimZeros(mantissa)}e${exponent}`
      : trimZeros(x.toFixed(Math.max(0, 3 - exponent)));
  return text.replaceAll("-", "−");
}

const trimZeros = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** A text cut in the middle to so many letters; letters stay whole. */
export function shorten(text, most = 20) {
  const letters =
    typeof Intl !== "undefined" && Intl.Segmenter
      ? Array.from(new Intl.Segmenter().segment(text), (s) => s.segment)
      : Array.from(text);
  const widths = letters.map((l) => (/[\u1100-\u115f\u2e80-\uffdc\u{1f000}-\u{3fffd}]/u.test(l) ? 2 : 1));
  if (widths.reduce((a, b) => a + b, 0) <= most) return text;
  let [left, right, used] = [0, letters.length, 1];
  while (left < right) {
    const fromLeft = left <= letters.length - right;
    const width = widths[fromLeft ? left : right - 1];
    if (used + width > most) break;
    used += width;
    if (fromLeft) left++;
    else right--;
  }
  return letters.slice(0, left).join("") + "…" + letters.slice(right).join("");
}

const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

// ---- the recorded sweep ----------------------------------------------------------------------------------------

/** What Python recorded, with every number a number. */
export class Sweep {
  constructor({ record }) {
    this.nodes = record.nodes;
    this.groups = record.groups;
    this.update(record);
  }

  /** Take the numbers of another sweep of the same graph. */
  update({ values, formulas, messages, adjoints, layers, trouble, checks }) {
    this.formulas = formulas;
    this.data = values.data.map(number);
    this.local = values.local.map((slots) => slots.map(number));
    this.constants = values.constants.map((slots) => slots.map(number));
    this.formula = values.formula;
    this.slopes = values.slopes;
    const [nodes, slots, sent, totals] = ["node", "slot", "message", "total"].map((c) => messages[c]);
    this.adjoints = adjoints.map(number);
    this.messages = nodes.map((node, i) => ({
      node,
      slot: slots[i],
      operand: this.nodes[node].operands[slots[i]],
      adjoint: this.adjoints[node],
      local: this.local[node][slots[i]],
      message: number(sent[i]),
      total: number(totals[i]),
    }));
    this.layers = layers.map((layer) => ({ ...layer, mean: number(layer.mean) }));
    this.trouble = trouble;
    this.checks = checks && checks.map((check) => check && { slope: number(check[0]), agrees: check[1] });
    this.into = this.nodes.map(() => []);
    this.outOf = this.nodes.map(() => []);
    this.messages.forEach((m, i) => {
      this.into[m.operand].push(i);
      this.outOf[m.node].push(i);
    });
  }

  get output() {
    return this.nodes.length - 1;
  }

  /** The name of a node; inside its own module, only the last part of it. */
  name(node, group = null) {
    const label = this.nodes[node].label;
    if (label === null) return `v${node}`;
    for (let g = group; g !== null; g = this.groups[g].parent) {
      const path = this.groups[g].path;
      if (path && label.startsWith(path + ".")) return label.slice(path.length + 1);
    }
    return label;
  }

  /** A template with the names, or the numbers, of operands and result put in. */
  fill(template, node, numbers = false) {
    const { operands, group } = this.nodes[node];
    return template.replace(/\{(\d+|y)\}/g, (place, which, at) => {
      const operand = which === "y" ? node : operands[which];
      if (operand !== null && !numbers) return this.name(operand, group);
      const value = operand === null ? this.constants[node][which] : this.data[operand];
      const [before, after] = [template[at - 1], template[at + place.length]];
      const alone = (before === undefined || before === "(" || before === "|") && !/[\^²³⁴-⁹⁻/]/.test(after ?? "");
      return value < 0 && !alone ? `(${show(value)})` : show(value);
    });
  }

  symbols(node) {
    return this.nodes[node].op === null ? "" : this.fill(this.formulas[this.formula[node]], node);
  }

  /** The formula with numbers put in: 0.4 × 0.5933 = 0.2373. */
  numbers(node) {
    const result = show(this.data[node]);
    return this.nodes[node].op === null ? result : `${this.fill(this.formulas[this.formula[node]], node, true)} = ${result}`;
  }

  slope(node, slot, numbers = false) {
    const template = this.slopes[node][slot];
    return template === null ? "" : this.fill(this.formulas[template], node, numbers);
  }

  /** adjoint × local derivative = message */
  equation({ adjoint, local, message }) {
    const factor = (x) => (x < 0 ? `(${show(x)})` : show(x));
    return `${show(adjoint)} × ${factor(local)} = ${show(message)}`;
  }

  /** Everything on a path from a node to the output, and how many such paths there are. */
  paths(node) {
    const [waiting, seen] = [[node], new Set([node])];
    while (waiting.length) {
      for (const m of this.into[waiting.pop()]) {
        const next = this.messages[m].node;
        if (!seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
    const ways = new Map([[this.output, 1n]]);
    for (const n of [...seen].sort((a, b) => b - a)) {
      if (!ways.has(n)) ways.set(n, this.into[n].reduce((sum, m) => sum + (ways.get(this.messages[m].node) ?? 0n), 0n));
    }
    return { nodes: seen, count: seen.has(this.output) ? ways.get(node) : 0n };
  }

  /** Nodes whose name has the text in it: those that begin with it first. */
  search(text, most = 30) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const found = [];
    this.nodes.forEach((node, i) => {
      const at = this.name(i).toLowerCase().indexOf(wanted);
      if (at >= 0) found.push([at, i]);
    });
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, most).map(([, i]) => i);
  }
}

// ---- one view of it: some boxes are nodes, others are folded groups ------------------------------------------------

export class View {
  constructor(sweep, view, layout) {
    this.sweep = sweep;
    this.name = view.name;
    this.group = view.group;
    this.layout = layout;
    this.frames = view.frames;
    this.boxes = view.boxes.map((code) => (code >= 0 ? { node: code } : { group: -1 - code }));
    this.#findHomes();
    this.refresh();
  }

  #findHomes() {
    const { nodes, groups } = this.sweep;
    const boxOfGroup = new Map();
    const home = new Int32Array(nodes.length).fill(-1);
    this.boxes.forEach((box, i) => (box.node === undefined ? boxOfGroup.set(box.group, i) : (home[box.node] = i)));
    const climbed = new Map([[null, -1]]);
    const boxAround = (group) => {
      if (!climbed.has(group)) climbed.set(group, boxOfGroup.get(group) ?? boxAround(groups[group].parent));
      return climbed.get(group);
    };
    nodes.forEach((node, i) => {
      if (home[i] < 0) home[i] = boxAround(node.group);
    });
    this.home = home;
  }

  /** Put the messages on the arrows and the steps in order. */
  refresh() {
    const { nodes, messages } = this.sweep;
    const key = (tail, head, slot) => `${tail} ${head} ${slot}`;
    this.arrows = this.layout.arrows.map(([tail, head, slot]) => ({ tail, head, slot, messages: [], sum: 0, total: 0 }));
    const byKey = new Map(this.arrows.map((a) => [key(a.tail, a.head, a.slot), a]));
    messages.forEach((m, i) => {
      const [tail, head] = [this.home[m.operand], this.home[m.node]];
      if (tail < 0 || head < 0 || tail === head) return;
      const arrow = byKey.get(key(tail, head, null)) ?? byKey.get(key(tail, head, m.slot));
      if (arrow) arrow.messages.push(i);
    });
    this.boxes.forEach((box) => Object.assign(box, { members: 0, computed: null, arrivals: [], sends: [] }));
    nodes.forEach((node, i) => {
      const box = this.boxes[this.home[i]];
      if (!box) return;
      box.members++;
      if (node.op !== null) box.computed = i;
    });
    this.#orderSteps();
  }

  #orderSteps() {
    const { messages } = this.sweep;
    const forward = this.boxes.map((box, i) => ({ kind: "forward", box: i, time: box.computed }));
    const sent = this.arrows.map((arrow, i) => ({ kind: "message", arrow: i, time: arrow.messages.at(-1) ?? null }));
    const inTime = (steps) => steps.filter((s) => s.time !== null).sort((a, b) => a.time - b.time);
    const forwards = inTime(forward);
    this.steps = [{ kind: "start" }, ...forwards, { kind: "seed" }, ...inTime(sent)];
    this.seed = forwards.length + 1;
    this.boxes.forEach((box) => (box.step = box.computed === null ? 0 : null));
    this.arrows.forEach((arrow) => (arrow.step = null));
    this.steps.forEach((step, i) => {
      if (step.kind === "forward") this.boxes[step.box].step = i;
      if (step.kind !== "message") return;
      const arrow = this.arrows[step.arrow];
      arrow.step = i;
      arrow.sum = arrow.messages.reduce((sum, m) => sum + messages[m].message, 0);
      const receiver = this.boxes[arrow.tail];
      // where every arrow is one message, the recorded running sum; through folded groups, the sum of what is shown
      const exact = receiver.node !== undefined && arrow.messages.length === 1 && !receiver.folded;
      receiver.folded = !exact;
      receiver.running = receiver.arrivals.length ? receiver.running + arrow.sum : arrow.sum;
      arrow.total = exact ? messages[arrow.messages[0]].total : receiver.running;
      receiver.running = arrow.total;
      receiver.arrivals.push(arrow);
      this.boxes[arrow.head].sends.push(arrow);
    });
    this.largest = Math.max(0, ...this.arrows.map((a) => Math.abs(a.sum)).filter(Number.isFinite));
  }

  get last() {
    return this.steps.length - 1;
  }

  get outputBox() {
    return this.home[this.sweep.output];
  }

  /** What a box shows at a step: its value, the messages that have arrived, their sum, and how many are to come. */
  at(index, step) {
    const box = this.boxes[index];
    const arrived = box.arrivals.filter((a) => a.step <= step);
    const seeded = index === this.outputBox && step >= this.seed;
    const sum = (seeded ? 1 : 0) + (arrived.length ? arrived.at(-1).total : 0);
    return {
      computed: box.step !== null && box.step <= step,
      adjoint: arrived.length || seeded ? sum : null,
      arrived,
      pending: box.arrivals.length - arrived.length,
      complete: step >= this.seed && arrived.length === box.arrivals.length,
    };
  }

  /** Boxes that look different at two steps, and the arrows. */
  changes(from, to) {
    const [boxes, arrows] = [new Set(), new Set()];
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let i = low; i <= high; i++) {
      const step = this.steps[i];
      if (step.kind === "forward") boxes.add(step.box);
      if (step.kind === "message") {
        const { tail, head } = this.arrows[step.arrow];
        arrows.add(step.arrow);
        boxes.add(tail).add(head);
      }
      if (step.kind === "seed") this.boxes.forEach((_, box) => boxes.add(box)); // from here on they wait for messages
    }
    return { boxes, arrows };
  }

  boxName(index) {
    const { node, group } = this.boxes[index];
    if (node === undefined) return this.sweep.groups[group].name;
    if (node === this.sweep.output) return this.sweep.name(node); // also shown outside of its module
    return this.sweep.name(node, this.sweep.nodes[node].group);
  }

  /** The name with the modules around it. */
  fullName(index) {
    const { node, group } = this.boxes[index];
    return node === undefined ? this.sweep.groups[group].path || this.sweep.groups[group].name : this.sweep.name(node);
  }

  /** A step in words: a heading, the equation, and what stands behind it. */
  describe(index) {
    const step = this.steps[index];
    const { sweep } = this;
    if (step.kind === "start") return { phase: "start", title: "Inputs and parameters", equation: "", note: "Nothing is computed yet." };
    if (step.kind === "forward") return this.#describeForward(step);
    if (step.kind === "seed") {
      const name = sweep.name(sweep.output);
      return { phase: "backward", title: `∂${name}/∂${name}`, equation: "1", note: "The reverse sweep starts at the output." };
    }
    return this.#describeMessage(index, this.arrows[step.arrow]);
  }

  #describeForward({ box }) {
    const { node, members } = this.boxes[box];
    const name = this.fullName(box);
    if (node === undefined) return { phase: "forward", title: name, equation: `${count(members, "node")} computed`, note: "" };
    return { phase: "forward", title: `${name} = ${this.sweep.symbols(node)}`, equation: this.sweep.numbers(node), note: "" };
  }

  #describeMessage(index, arrow) {
    const { sweep } = this;
    const [from, to] = [this.fullName(arrow.head), this.fullName(arrow.tail)];
    const { arrived, pending } = this.at(arrow.tail, index);
    const waiting = this.boxes[arrow.tail].arrivals.filter((a) => a.step > index).map((a) => this.fullName(a.head));
    const still = pending ? `Still to come: ${names(waiting)}.` : "All have arrived.";
    const sums = arrived.map((a) => show(a.sum)).slice(-4);
    const more = arrived.length > 4 ? ["…"] : [];
    const sum = arrived.length > 1 ? `${[...more, ...sums].join(" + ").replaceAll("+ −", "− ")} = ${show(arrow.total)}` : show(arrow.total);
    return {
      phase: "backward",
      title: `${from} → ${to}`,
      equation: this.arrowText(arrow),
      note: `Sum at ${to}: ${sum}. ${still}`,
      sum: show(arrow.total),
      waiting,
      slope: arrow.slot === null ? "" : `∂${from}/∂${to} = ${sweep.slope(this.boxes[arrow.head].node, arrow.slot)}`,
    };
  }

  arrowText(arrow) {
    const { messages } = this.sweep;
    if (arrow.messages.length === 1) return this.sweep.equation(messages[arrow.messages[0]]);
    return `Σ of ${arrow.messages.length.toLocaleString("en")} messages = ${show(arrow.sum)}`;
  }
}

function names(list) {
  const unique = [...new Set(list)];
  const shown = unique.slice(0, 4).map((name) => {
    const times = list.filter((n) => n === name).length;
    return times > 1 ? `${name} (×${times})` : name;
  });
  return shown.join(", ") + (unique.length > 4 ? ` and ${unique.length - 4} more` : "");
}

/** The thickness of an arrow: over six powers of ten below the largest message. */
export function thickness(message, largest) {
  if (!Number.isFinite(message)) return 5;
  if (message === 0 || largest === 0) return 1;
  return 1.25 + 3.75 * Math.max(0, 1 + Math.log10(Math.abs(message) / largest) / 6) ** 2;
}

/** "positive", "negative", "zero" or "bad" */
export function sign(x) {
  if (!Number.isFinite(x)) return "bad";
  return x > 0 ? "positive" : x < 0 ? "negative" : "zero";
}

/** Bars for magnitudes on a logarithmic scale, with what is wrong about a layer in a word. */
export function layerBars(layers) {
  const logs = layers.map((l) => (l.mean > 0 && Number.isFinite(l.mean) ? Math.log10(l.mean) : null));
  const known = logs.filter((l) => l !== null);
  const [low, high] = [Math.min(...known, 0) - 0.5, Math.max(...known, Math.min(...known, 0) + 1)];
  const last = logs.at(-1);
  return layers.map((layer, i) => ({
    ...layer,
    share: logs[i] === null ? (layer.mean === 0 ? 0 : 1) : (logs[i] - low) / (high - low),
    verdict: !Number.isFinite(layer.mean)
      ? "not finite"
      : layer.mean === 0
        ? "dead"
        : last !== null && logs[i] - last < -2
          ? "vanishing"
          : last !== null && logs[i] - last > 2
            ? "exploding"
            : "",
  }));
}

// ---- drawing ---------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const FAR = 0.42; // below this scale texts could not be read and are left out
const CROWDED = 1500; // arrows
const SPEEDS = [1, 2, 5, 15, 60]; // steps a second
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
let instances = 0;

/** An element with attributes (`text`, `class`, `on…` handlers among them) and children. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "rect", "circle", "text", "defs", "marker", "title"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const icon = (name) => make("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon icon-${name}` }, make("path", { d: ICONS[name] }));
const button = (name, label, onclick, attributes = {}) =>
  make("button", { type: "button", class: `button ${name}`, "aria-label": label, title: label, onclick, ...attributes }, icon(name));
const bdi = (text, className) => make("bdi", { text, class: className });

/** Whether the page around us is dark: Jupyter and VS Code say so, elsewhere the system does. */
function surroundingsAreDark() {
  const bodies = [document.body];
  try {
    if (window.parent !== window) bodies.push(window.parent.document.body);
  } catch {
    // a page of another origin around us keeps its theme to itself
  }
  for (const body of bodies) {
    if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
    if (body?.className.includes?.("vscode-")) return /vscode-(dark|high-contrast(?!-light))/.test(body.className);
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

const wantsStillness = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The viewer in an element. */
export class Viewer {
  constructor(root, payload) {
    this.id = `flow${++instances}-${Math.random().toString(36).slice(2, 8)}`;
    this.root = root;
    this.payload = payload;
    this.sweep = new Sweep(payload);
    this.views = new Map();
    this.step = 0;
    this.selected = null;
    this.speed = 1;
    this.playing = false;
    this.cleanups = [];
    this.#build();
    this.#followTheme();
    this.open(payload.first);
    const resized = new ResizeObserver(() => this.#resized());
    resized.observe(this.stage);
    this.cleanups.push(() => resized.disconnect());
  }

  destroy() {
    this.pause();
    this.cleanups.forEach((clean) => clean());
    this.root.replaceChildren();
  }

  // ---- the frame around the picture

  #build() {
    const { payload } = this;
    this.root.classList.add("gradient-flow");
    this.root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys rest while the focus is in here
    const keys = (event) => this.#key(event);
    const listener = payload.standalone ? document : this.root; // in a notebook the other keys are not ours
    listener.addEventListener("keydown", keys);
    this.cleanups.push(() => listener.removeEventListener("keydown", keys));
    this.levels = make(
      "select",
      { class: "levels", "aria-label": "What to fold", onchange: (e) => this.open(Number(e.target.value)) },
      ...payload.views.flatMap((v, i) => (v.group === null ? [make("option", { value: i, text: v.name })] : [])),
    );
    this.crumbs = make("nav", { class: "crumbs", "aria-label": "Opened group" });
    this.finder = this.#buildSearch();
    const head = make(
      "header",
      {},
      make("h2", { class: "title" }, bdi(payload.title)),
      this.crumbs,
      make("span", { class: "spacer" }),
      this.finder,
      payload.views.filter((v) => v.group === null).length > 1 ? make("label", { class: "fold" }, "Show ", this.levels) : null,
      button("theme", "Light or dark", () => this.#toggleTheme()),
    );
    this.stage = make("div", { class: "stage", tabindex: -1 }); // a click brings the keys here
    this.narration = make("div", { class: "narration", "aria-live": "polite", role: "status" });
    this.side = make("aside", { class: "side", "aria-label": "Details" });
    this.root.replaceChildren(head, make("div", { class: "body" }, make("div", { class: "main" }, this.stage, this.narration, this.#buildTransport()), this.side));
    this.#buildStage();
  }

  #buildSearch() {
    const list = make("ul", { class: "found", role: "listbox", id: `${this.id}-found`, "aria-label": "Nodes found" });
    const input = make("input", {
      type: "search",
      placeholder: "Find a node",
      "aria-label": "Find a node by its label",
      "aria-controls": list.id,
      autocomplete: "off",
      oninput: () => this.#showFound(input.value, list),
      onkeydown: (event) => {
        const options = [...list.children];
        if (event.key === "Enter") options[0]?.querySelector("button")?.click();
        if (event.key === "ArrowDown") options[0]?.querySelector("button")?.focus();
        if (event.key === "Escape") this.#showFound((input.value = ""), list);
        event.stopPropagation();
      },
    });
    return make("div", { class: "finder" }, input, list);
  }

  #showFound(text, list) {
    const found = this.sweep.search(text);
    const choose = (node) => {
      list.replaceChildren();
      this.reveal(node);
    };
    const move = (event) => {
      const item = event.currentTarget;
      const next = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling }[event.key];
      next?.querySelector("button").focus();
      if (event.key === "Escape") list.replaceChildren();
      if (event.key.startsWith("Arrow")) event.preventDefault();
      event.stopPropagation();
    };
    const item = (node) =>
      make(
        "li",
        { role: "option", onkeydown: move },
        make("button", { type: "button", onclick: () => choose(node) }, bdi(shorten(this.sweep.name(node), 44)), make("span", { text: show(this.sweep.data[node]) })),
      );
    list.replaceChildren(...(found.length || !text.trim() ? found.map(item) : [make("li", { class: "none", text: "No label has this in it." })]));
  }

  #buildTransport() {
    this.slider = make("input", { type: "range", min: 0, value: 0, class: "slider", "aria-label": "Step", oninput: () => this.goto(Number(this.slider.value)) });
    this.playButton = button("play", "Play", () => (this.playing ? this.pause() : this.play()));
    this.counter = make("span", { class: "counter" });
    const speed = make("button", { type: "button", class: "button speed", "aria-label": "Speed", onclick: () => this.#faster() });
    this.speedButton = speed;
    this.#labelSpeed();
    return make(
      "div",
      { class: "transport", role: "group", "aria-label": "Steps" },
      button("first", "To the start", () => this.goto(0)),
      button("back", "One step back", () => this.goto(this.step - 1)),
      this.playButton,
      button("forward", "One step forward", () => this.goto(this.step + 1, true)),
      button("last", "To the end", () => this.goto(Infinity)),
      make("div", { class: "track" }, (this.phases = make("div", { class: "phases", "aria-hidden": "true" })), this.slider),
      this.counter,
      speed,
    );
  }

  #labelSpeed() {
    this.speedButton.textContent = `${SPEEDS[this.speed]}/s`;
    this.speedButton.title = `${SPEEDS[this.speed]} steps a second`;
    this.speedButton.setAttribute("aria-label", `Speed: ${this.speedButton.title}`);
  }

  #faster() {
    this.speed = (this.speed + 1) % SPEEDS.length;
    this.#labelSpeed();
    if (this.playing) this.play();
  }

  #buildStage() {
    const marker = (kind) =>
      make("marker", { id: `${this.id}-${kind}`, class: kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 11, markerHeight: 11, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, make("path", { d: "M0 .5 8 4 0 7.5z" }));
    this.svg = make("svg", { class: "graph", role: "group", "aria-label": "Computation graph" }, make("defs", {}, ...["plain", "positive", "negative", "zero", "bad"].map(marker)));
    const layer = (name) => {
      const g = make("g", { class: name });
      this.camera.append(g);
      return g;
    };
    this.camera = make("g", { class: "camera" });
    this.svg.append(this.camera);
    const layers = ["frames", "halos", "arrows", "labels", "boxes", "sparks"].map(layer);
    [this.frameLayer, this.haloLayer, this.arrowLayer, this.labelLayer, this.boxLayer, this.sparkLayer] = layers;
    this.callout = make("div", { class: "callout", "aria-hidden": "true" });
    const zoom = make(
      "div",
      { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("plus", "Larger", () => this.#zoom(1.3)),
      button("minus", "Smaller", () => this.#zoom(1 / 1.3)),
      button("fit", "Show everything", () => this.#fit(true)),
    );
    this.stage.append(this.svg, this.callout);
    this.stage.before(make("div", { class: "toolbar" }, this.#legend(), zoom));
    this.#listenToPointers();
  }

  #legend() {
    const entry = (kind, text) => make("span", { class: `key ${kind}` }, make("i", {}), text);
    return make("div", { class: "legend", "aria-hidden": "true" }, entry("positive", "positive"), entry("negative", "negative"), entry("zero", "zero"), entry("bad", "not finite"));
  }

  #followTheme() {
    const apply = () => {
      this.root.dataset.theme = this.theme ?? (surroundingsAreDark() ? "dark" : "light");
    };
    this.applyTheme = apply;
    apply();
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", apply);
    const observer = new MutationObserver(apply);
    const bodies = [document.body];
    try {
      if (window.parent !== window) bodies.push(window.parent.document.body);
    } catch {
      // as above
    }
    bodies.forEach((body) => observer.observe(body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] }));
    this.cleanups.push(() => system.removeEventListener("change", apply), () => observer.disconnect());
  }

  #toggleTheme() {
    this.theme = this.root.dataset.theme === "dark" ? "light" : "dark";
    this.applyTheme();
  }

  // ---- views

  /** Show a view: a level of folding, or one group opened. */
  open(index, keep = true) {
    const { views, layouts } = this.payload;
    const time = this.view ? this.#time() : null;
    if (!this.views.has(index)) this.views.set(index, new View(this.sweep, views[index], layouts[views[index].layout]));
    this.viewIndex = index;
    this.view = this.views.get(index);
    if (views[index].group === null) {
      this.level = index;
      this.levels.value = String(index);
    }
    this.slider.max = this.view.last;
    this.phases.style.setProperty("--seed", this.view.last ? this.view.seed / this.view.last : 0);
    this.step = keep && time ? this.#stepAt(time) : 0;
    this.#showCrumbs();
    this.#draw();
    this.#fit(false);
    this.#refreshAll();
    this.#showSide();
  }

  /** How far the sweep is, independent of the view. */
  #time() {
    for (let i = this.step; i > 0; i--) {
      const { kind, time } = this.view.steps[i];
      if (kind === "seed") return { backward: true, time: -1 };
      if (kind !== "start") return { backward: kind === "message", time };
    }
    return null;
  }

  #stepAt({ backward, time }) {
    const { steps, seed } = this.view;
    let at = backward ? seed : 0;
    while (at + 1 < steps.length && steps[at + 1].kind === (backward ? "message" : "forward") && steps[at + 1].time <= time) at++;
    return at;
  }

  #showCrumbs() {
    const { views } = this.payload;
    const trail = [];
    for (let g = this.view.group; g !== null; g = this.sweep.groups[g].parent) trail.unshift(g);
    const link = (text, index) => make("button", { type: "button", class: "crumb", onclick: () => this.open(index) }, bdi(text));
    const items = trail.map((g) => link(this.sweep.groups[g].name, views.findIndex((v) => v.group === g)));
    items.at(-1)?.setAttribute("aria-current", "true");
    this.crumbs.replaceChildren(...(items.length ? [button("up", "Back out", () => this.leave()), link("whole graph", this.level ?? 0), ...items] : []));
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
    this.#look(this.#boxBounds(box), true);
    this.boxElements.get(box)?.focus();
  }

  // ---- stepping

  /** Go to a step; one step ahead may be animated. */
  goto(step, animate = false) {
    const to = Math.max(0, Math.min(this.view.last, Math.round(step)));
    const from = this.step;
    if (to === from && this.drawnStep === to) return;
    this.step = to;
    if (Math.abs(to - from) > 400) this.#refreshAll();
    else this.#refresh(this.view.changes(Math.min(from, to), Math.max(from, to)));
    if (animate && SPEEDS[this.speed] <= 5) this.#spark();
    if (this.selected !== null) this.#showSide();
  }

  play() {
    this.pause();
    if (this.step >= this.view.last) this.goto(0);
    this.playing = true;
    this.#labelPlay();
    let next = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      if (now >= next) {
        const steps = 1 + Math.floor(((now - next) * SPEEDS[this.speed]) / 1000);
        next = Math.max(next + (steps * 1000) / SPEEDS[this.speed], now - 100);
        this.goto(this.step + Math.min(steps, 4), true);
        if (this.step >= this.view.last) return this.pause();
      }
      this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.#labelPlay();
  }

  #labelPlay() {
    const [name, label] = this.playing ? ["pause", "Pause"] : ["play", "Play"];
    this.playButton.replaceChildren(icon(name));
    this.playButton.setAttribute("aria-label", label);
    this.playButton.title = label;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const onButton = event.target.tagName === "BUTTON";
    const box = event.target.closest?.(".box");
    const actions = {
      ArrowRight: () => this.goto(this.step + 1, true),
      ArrowLeft: () => this.goto(this.step - 1),
      Home: () => this.goto(0),
      End: () => this.goto(Infinity),
      Escape: () => (this.selected === null ? this.leave() : this.select(null)),
      " ": onButton || box ? null : () => (this.playing ? this.pause() : this.play()),
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
    this.#look(this.#boxBounds(next));
    this.#cull();
    this.boxElements.get(next)?.focus();
  }

  // ---- the picture

  #boxBounds(index) {
    const { layout } = this.view;
    this.view.bounds ??= layout.centres.map(([x, y], i) => {
      const [w, h] = layout.sizes[i];
      return { x: x - w / 2, y: y - h / 2, w, h };
    });
    return this.view.bounds[index];
  }

  #draw() {
    const { layout } = this.view;
    for (const g of this.camera.children) g.replaceChildren();
    this.boxElements = new Map();
    this.arrowElements = new Map();
    this.selected = null;
    this.highlighted = null;
    this.drawnStep = null;
    this.view.reading = this.view.boxes.map((_, i) => i).sort((a, b) => layout.centres[a][0] - layout.centres[b][0] || layout.centres[a][1] - layout.centres[b][1]);
    this.view.reach ??= layout.curves.map((points) => {
      const [xs, ys] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2)];
      return { x: Math.min(...xs), y: Math.min(...ys), w: Math.max(...xs) - Math.min(...xs), h: Math.max(...ys) - Math.min(...ys) };
    });
    this.frameTitles = this.view.frames.map((group, i) => {
      const [x, y, width, height] = layout.places[i];
      const { name } = this.sweep.groups[group];
      const label = make("text", { class: "frame", x: x + 8, y: y + 13, text: shorten(name, Math.max(4, Math.floor(width / 7.5))) });
      this.frameLayer.append(make("rect", { x, y, width, height, rx: 12 }));
      this.labelLayer.append(label);
      return { x: x + 8, y: y + 2, w: 7 * label.textContent.length, h: 14 };
    });
  }

  /** Make what has come into sight, drop what has left it. */
  #cull() {
    const { width, height } = this.stageSize;
    const { x, y, k } = this.eye;
    const margin = 80 / k;
    const sight = { x: -x / k - margin, y: -y / k - margin, w: width / k + 2 * margin, h: height / k + 2 * margin };
    const seen = (b) => b.x < sight.x + sight.w && b.x + b.w > sight.x && b.y < sight.y + sight.h && b.y + b.h > sight.y;
    this.svg.classList.toggle("far", k < FAR);
    const few = this.view.boxes.length <= 150;
    const fresh = { boxes: new Set(), arrows: new Set() };
    const keep = (map, index, visible, create, news) => {
      if (visible && !map.has(index)) {
        map.set(index, create(index));
        news.add(index);
      } else if (!visible && map.has(index)) {
        map.get(index).remove();
        map.get(index).label?.remove();
        map.delete(index);
      }
    };
    const focused = document.activeElement?.dataset?.box;
    this.view.boxes.forEach((_, i) => keep(this.boxElements, i, few || String(i) === focused || seen(this.#boxBounds(i)), (b) => this.#makeBox(b), fresh.boxes));
    const crowded = this.view.arrows.length > CROWDED; // arrows that only pass through would hide what is there
    const ends = ({ tail, head }) => this.boxElements.has(tail) || this.boxElements.has(head);
    const shown = (reach, i) => few || (seen(reach) && (!crowded || ends(this.view.arrows[i])));
    this.view.reach.forEach((reach, i) => keep(this.arrowElements, i, shown(reach, i), (a) => this.#makeArrow(a), fresh.arrows));
    if (fresh.boxes.size || fresh.arrows.size) this.#paint(fresh);
  }

  #makeBox(index) {
    const { node, group } = this.view.boxes[index];
    const { x, y, w, h } = this.#boxBounds(index);
    const leaf = node !== undefined && this.sweep.nodes[node].op === null;
    const kind = node === undefined ? "group" : leaf ? "leaf" : node === this.sweep.output ? "node output" : "node";
    const symbol = node === undefined ? "" : this.sweep.nodes[node].symbol ?? "";
    const room = Math.floor((w - 18 - (symbol ? 7 * Math.min(symbol.length, 6) + 10 : 0)) / 7.25);
    const g = make("g", { class: `box ${kind}`, "data-box": index, role: "button", tabindex: index === this.view.reading[0] ? 0 : -1, transform: `translate(${x} ${y})`, onclick: () => !this.dragged && this.select(index), ondblclick: () => group !== undefined && this.openGroup(group) });
    if (group !== undefined) g.append(make("rect", { class: "under", x: 4, y: -4, width: w, height: h, rx: 9 }));
    g.append(
      make("rect", { class: "face", width: w, height: h, rx: leaf ? 18 : 9 }),
      make("text", { class: "name", x: 10, y: 18, text: shorten(this.view.boxName(index), Math.max(room, 3)) }),
      make("text", { class: "symbol", x: w - 9, y: 18, text: shorten(symbol, 7) }),
      make("text", { class: "data", x: 10, y: 34 }),
      make("text", { class: "adjoint", x: 10, y: 50 }),
      make("text", { class: "mark", x: w - 9, y: 34 }),
      make("g", { class: "bar", transform: `translate(10 ${h - 6})` }),
    );
    g.addEventListener("focus", () => {
      this.boxLayer.querySelectorAll('[tabindex="0"]').forEach((e) => e.setAttribute("tabindex", -1));
      g.setAttribute("tabindex", 0);
    });
    this.boxLayer.append(g);
    return g;
  }

  #makeArrow(index) {
    const points = this.view.layout.curves[index];
    const d = `M${points[0]} ${points[1]}C${points.slice(2).join(" ")}`;
    const path = make("path", { d, class: "arrow", fill: "none" });
    this.arrowLayer.append(path);
    const spot = this.view.layout.spots[index];
    if (spot) {
      path.label = make("text", { x: spot[0], y: spot[1] + 4, class: "message" });
      this.labelLayer.append(path.label);
    }
    return path;
  }

  #refreshAll() {
    this.#refresh({ boxes: new Set(this.view.boxes.keys()), arrows: new Set(this.view.arrows.keys()) });
  }

  /** Bring the picture to the step: only what changes is touched. */
  #refresh(changed) {
    this.#paint(changed);
    this.drawnStep = this.step;
    this.#showActive();
    this.#narrate();
    this.slider.value = this.step;
    this.slider.setAttribute("aria-valuetext", `${this.step} of ${this.view.last}`);
    this.counter.textContent = `${this.step.toLocaleString("en")} / ${this.view.last.toLocaleString("en")}`;
  }

  #paint({ boxes, arrows }) {
    for (const index of boxes) this.#paintBox(index);
    for (const index of arrows) this.#paintArrow(index);
  }

  #paintBox(index) {
    const element = this.boxElements.get(index);
    if (!element) return;
    const { node, members } = this.view.boxes[index];
    const state = this.view.at(index, this.step);
    const [face, , , data, adjoint, mark, bar] = [...element.children].slice(element.children.length - 7);
    const known = state.computed;
    data.textContent = node === undefined ? count(members, "node") : known ? show(this.sweep.data[node]) : "…";
    adjoint.textContent = state.adjoint === null ? "" : `${node === undefined ? "Σ" : "∂"} ${show(state.adjoint)}`;
    adjoint.setAttribute("class", `adjoint ${state.adjoint === null ? "" : sign(state.adjoint)}`);
    mark.textContent = this.#mark(node, state);
    const dead = state.complete && !state.adjoint && (node === undefined ? state.arrived.length > 0 : !this.sweep.adjoints[node]);
    const bad = (known && node !== undefined && !Number.isFinite(this.sweep.data[node])) || (state.adjoint !== null && !Number.isFinite(state.adjoint));
    const classes = { waiting: !known && node !== undefined, dead, bad, first: node !== undefined && node === this.sweep.trouble.node };
    for (const [name, on] of Object.entries(classes)) element.classList.toggle(name, Boolean(on));
    element.setAttribute("aria-label", this.#boxLabel(index, state, dead, bad));
    this.#paintBar(bar, this.view.boxes[index].arrivals, state, Number(face.getAttribute("width")) - 20);
  }

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
    if (dead) parts.push("no gradient arrives");
    if (bad) parts.push("not finite");
    return parts.join(", ");
  }

  /** What has arrived, drawn as lengths by sign: cancellation shows as two long pieces and a small sum. */
  #paintBar(bar, arrivals, { arrived }, width) {
    const size = (a) => (Number.isFinite(a.sum) ? Math.abs(a.sum) : 0);
    const all = arrivals.reduce((sum, a) => sum + size(a), 0);
    if (!all || !arrived.length) return bar.replaceChildren();
    const [plus, minus] = [1, -1].map((s) => arrived.filter((a) => a.sum * s > 0).reduce((sum, a) => sum + size(a), 0));
    const piece = (kind, from, length) => make("rect", { class: kind, x: (from / all) * width, width: (length / all) * width, height: 2.5, rx: 1 });
    bar.replaceChildren(piece("rest", 0, all), piece("positive", 0, plus), piece("negative", plus, minus));
  }

  #paintArrow(index) {
    const element = this.arrowElements.get(index);
    if (!element) return;
    const arrow = this.view.arrows[index];
    const sent = arrow.step !== null && arrow.step <= this.step;
    const kind = sent ? sign(arrow.sum) : "plain";
    element.setAttribute("class", `arrow ${kind}${arrow.step === null ? " silent" : ""}${element.active ? " active" : ""}${this.highlighted ? (this.#onPath(arrow) ? " on" : " off") : ""}`);
    element.style.strokeWidth = sent ? thickness(arrow.sum, this.view.largest) : "";
    const near = this.view.boxes.length <= 600;
    element.setAttribute("marker-start", sent && near ? `url(#${this.id}-${kind})` : "");
    element.setAttribute("marker-end", !sent && near ? `url(#${this.id}-plain)` : "");
    if (!element.label) return;
    element.label.textContent = sent ? show(arrow.sum) : "";
    element.label.setAttribute("class", `message ${kind}`);
  }

  /** Mark what the step is about, show its equation beside it, and keep it in sight. */
  #showActive() {
    this.callout.hidden = true; // until it has the text of this step
    this.calloutStep = null;
    this.boxLayer.querySelectorAll(".active").forEach((e) => e.classList.remove("active"));
    for (const i of this.activeArrows ?? []) {
      const element = this.arrowElements.get(i);
      if (element) element.active = false;
      this.#paintArrow(i);
    }
    const step = this.view.steps[this.step];
    const boxes = { forward: [step.box], seed: [this.view.outputBox] }[step.kind] ?? [];
    const arrows = { message: [step.arrow], forward: this.#into(step.box) }[step.kind] ?? [];
    if (step.kind === "message") boxes.push(this.view.arrows[step.arrow].tail);
    this.activeArrows = arrows;
    let sight = null;
    if (step.kind === "message") sight = this.#fitting(union([this.view.reach[step.arrow], this.#boxBounds(boxes[0])])) ?? this.#boxBounds(boxes[0]);
    else if (boxes[0] >= 0) sight = this.#boxBounds(boxes[0]);
    if (sight && this.drawnStep !== null) this.#look(sight);
    const lit = arrows.filter((i) => this.arrowElements.has(i));
    this.haloLayer.replaceChildren(...lit.map((i) => make("path", { d: this.arrowElements.get(i).getAttribute("d") })));
    for (const i of lit) {
      this.arrowElements.get(i).active = true;
      this.#paintArrow(i);
    }
    for (const i of boxes) this.boxElements.get(i)?.classList.add("active");
    this.#placeCallout(step);
  }

  /** A part of the picture, if it fits into sight. */
  #fitting(part) {
    if (!this.stageSize) return part;
    return part.w * this.eye.k < this.stageSize.width - 80 && part.h * this.eye.k < this.stageSize.height - 80 ? part : null;
  }

  #into(box) {
    if (box === undefined) return [];
    this.view.incoming ??= this.view.boxes.map(() => []);
    if (!this.view.incoming.done) {
      this.view.arrows.forEach((a, i) => this.view.incoming[a.head].push(i));
      this.view.incoming.done = true;
    }
    return this.view.incoming[box].slice(0, 200);
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

  #placeCallout(step) {
    const shown = step.kind === "message" || (step.kind === "forward" && this.view.boxes[step.box].node !== undefined);
    this.callout.hidden = !shown;
    this.calloutStep = shown ? step : null;
    if (!shown) return this.arrowElements.forEach(({ label }) => label && (label.style.visibility = ""));
    const arrow = step.kind === "message" ? this.view.arrows[step.arrow] : null;
    this.callout.textContent = arrow ? this.view.arrowText(arrow) : this.sweep.numbers(this.view.boxes[step.box].node);
    this.callout.className = `callout ${arrow ? sign(arrow.sum) : "plain"}`;
    this.#moveCallout();
  }

  /** Put the equation beside its arrow (or box), where it hides the least. */
  #moveCallout() {
    const step = this.view.steps[this.step];
    if (this.calloutStep !== step || !this.stageSize) return;
    const { x, y, k } = this.eye;
    const { width, height } = this.stageSize;
    const spot = step.kind === "message" ? middle(this.view.layout.curves[step.arrow]) : [this.view.layout.centres[step.box][0], this.view.layout.centres[step.box][1] - 30 / Math.min(k, 1)];
    const [cx, cy] = [x + spot[0] * k, y + spot[1] * k];
    const [w, h] = [Math.min(7.4 * this.callout.textContent.length + 24, width - 8), 24];
    const onScreen = (b) => ({ x: x + b.x * k, y: y + b.y * k, w: b.w * k, h: b.h * k });
    const taken = [...this.boxElements.keys()].map((i) => this.#boxBounds(i)).concat(this.frameTitles).map(onScreen);
    const best = freePlace([cx, cy], [w, h], [width, height], taken);
    this.callout.hidden = best === null; // what it says stands below the picture as well
    if (best) this.callout.style.transform = `translate(${best.x.toFixed(1)}px, ${best.y.toFixed(1)}px)`;
    this.arrowElements.forEach(({ label }, i) => {
      if (!label) return;
      const [lx, ly] = this.view.layout.spots[i];
      const hidden = best && overlap(best, onScreen({ x: lx - 33, y: ly - 8, w: 66, h: 16 }));
      label.style.visibility = hidden ? "hidden" : "";
    });
  }

  /** A dot runs along what is sent. */
  #spark() {
    if (wantsStillness()) return;
    this.sparkLayer.replaceChildren();
    const backward = this.view.steps[this.step].kind === "message";
    for (const index of this.activeArrows.slice(0, 12)) {
      const path = this.arrowElements.get(index);
      if (!path) continue;
      const dot = make("circle", { r: 5, class: backward ? sign(this.view.arrows[index].sum) : "plain" });
      dot.style.offsetPath = `path("${path.getAttribute("d")}")`;
      this.sparkLayer.append(dot);
      const way = backward ? ["100%", "0%"] : ["0%", "100%"];
      dot.animate({ offsetDistance: way }, { duration: Math.min(450, 800 / SPEEDS[this.speed]), easing: "ease-in-out" }).onfinish = () => dot.remove();
    }
  }

  // ---- selecting

  select(index) {
    this.selected = index;
    this.boxLayer.querySelectorAll(".selected").forEach((e) => e.classList.remove("selected"));
    if (index !== null) this.boxElements.get(index)?.classList.add("selected");
    const node = index === null ? undefined : this.view.boxes[index].node;
    this.highlighted = node === undefined ? null : this.sweep.paths(node);
    this.svg.classList.toggle("tracing", this.highlighted !== null);
    const homes = this.highlighted && new Set([...this.highlighted.nodes].map((n) => this.view.home[n]));
    this.boxElements.forEach((element, i) => element.classList.toggle("off", Boolean(homes) && !homes.has(i)));
    this.arrowElements.forEach((_, i) => this.#paintArrow(i));
    this.#showSide();
  }

  #onPath(arrow) {
    return arrow.messages.some((m) => this.highlighted.nodes.has(this.sweep.messages[m].operand));
  }

  #showSide() {
    const { payload } = this;
    const parts = [];
    if (this.selected !== null) parts.push(this.view.boxes[this.selected].node === undefined ? this.#groupDetails() : this.#nodeDetails());
    else parts.push(this.#summary(), make("section", { class: "hint" }, make("p", { text: "Click a node for its operands, formula, derivatives and messages. Double-click a folded group to open it." }), make("p", { class: "keys" }, make("kbd", { text: "←" }), make("kbd", { text: "→" }), " step ", make("kbd", { text: "space" }), " play ", make("kbd", { text: "home" }), make("kbd", { text: "end" }))));
    if (this.#troubleText()) parts.unshift(make("p", { class: "trouble", text: this.#troubleText() }));
    if (this.sweep.layers.length > 1) parts.push(this.#layerChart());
    if (payload.history?.length > 1) parts.push(sparkline(payload.history));
    this.side.replaceChildren(...parts);
  }

  #summary() {
    const { sweep, payload } = this;
    const facts = [
      [sweep.name(sweep.output), show(sweep.data[sweep.output])],
      ["nodes", sweep.nodes.length.toLocaleString("en")],
      ["messages", sweep.messages.length.toLocaleString("en")],
    ];
    if (sweep.checks) {
      const checks = sweep.checks.filter(Boolean);
      facts.push(["finite differences agree", `${checks.filter((c) => c.agrees).length} of ${checks.length}`]);
    }
    return make("section", { class: "details" }, make("h3", {}, bdi(payload.title)), make("dl", {}, ...facts.flatMap(([term, text]) => [make("dt", {}, bdi(term)), make("dd", { text })])));
  }

  #troubleText() {
    const { node, message } = this.sweep.trouble;
    if (node !== null) return `⚠ The first number that is not finite: ${this.sweep.name(node)} = ${this.sweep.numbers(node)}`;
    if (message === null) return "";
    const m = this.sweep.messages[message];
    return `⚠ The first message that is not finite: ${this.sweep.name(m.node)} → ${this.sweep.name(m.operand)}, ${this.sweep.equation(m)}`;
  }

  #layerChart() {
    const rows = layerBars(this.sweep.layers).map(({ name, mean, share, verdict }) =>
      make(
        "li",
        { class: verdict.replace(" ", "-") },
        bdi(name, "layer"),
        make("span", { class: "share", "aria-hidden": "true" }, make("i", { style: `width:${(100 * share).toFixed(1)}%` })),
        make("span", { class: "mean", text: show(mean) + (verdict ? ` ${verdict}` : "") }),
      ),
    );
    return make("section", {}, make("h3", { text: "Mean |adjoint| per layer" }), make("ul", { class: "layers" }, ...rows));
  }

  #groupDetails() {
    const { group, members, arrivals, sends } = this.view.boxes[this.selected];
    const { name, path } = this.sweep.groups[group];
    const item = (arrow, end) => make("li", {}, bdi(this.view.fullName(arrow[end])), make("span", { text: this.#sentText(arrow) }));
    return make(
      "section",
      { class: "details" },
      make("h3", {}, bdi(path || name)),
      make("p", { text: `${count(members, "node")}, folded` }),
      make("button", { type: "button", class: "open", onclick: () => this.openGroup(group), text: "Open" }),
      list("Messages in", arrivals.map((a) => item(a, "head"))),
      list("Messages out", sends.map((a) => item(a, "tail"))),
    );
  }

  #sentText(arrow) {
    return arrow.step <= this.step ? this.view.arrowText(arrow) : "still to come";
  }

  #nodeDetails() {
    const { node } = this.view.boxes[this.selected];
    const { sweep } = this;
    const { op, operands, source, group, label } = sweep.nodes[node];
    const link = (n) => make("button", { type: "button", class: "link", onclick: () => this.reveal(n) }, bdi(sweep.name(n, group)));
    const state = this.view.at(this.selected, this.step);
    const facts = [["value", show(sweep.data[node]), String(sweep.data[node])]];
    if (op !== null) facts.push(["operation", op]);
    if (state.adjoint !== null) facts.push([state.complete ? "adjoint" : "adjoint so far", show(state.adjoint), String(state.adjoint)]);
    const check = sweep.checks?.[node];
    if (check) facts.push(["finite difference", `${show(check.slope)} ${check.agrees ? "✓ agrees" : `✗ differs by ${show(check.slope - sweep.adjoints[node])}`}`]);
    facts.push(["paths to the output", this.highlighted.count.toLocaleString("en")]);
    if (source) facts.push(["made at", source]);
    const slopes = operands.slice(0, 50).map((operand, slot) => {
      const [to, value] = operand === null ? [show(sweep.constants[node][slot]), null] : [link(operand), sweep.data[operand]];
      const local = sweep.local[node][slot];
      const text = operand === null ? "a constant" : local === null ? "not selected: no message" : `${sweep.slope(node, slot)} = ${show(local)}`;
      const slope = operand === null || local === null ? text : `∂/∂${shorten(sweep.name(operand, group))} = ${text}`;
      return make("li", {}, to, value === null ? "" : make("span", { class: "value", text: ` = ${show(value)}` }), make("div", { class: "slope" }, bdi(slope)));
    });
    const now = this.#time();
    const text = (m) => (now?.backward && m <= now.time ? sweep.equation(sweep.messages[m]) : "still to come");
    const item = (m, end) => make("li", {}, link(sweep.messages[m][end]), make("span", { text: text(m) }));
    return make(
      "section",
      { class: "details" },
      make("h3", {}, bdi(label ?? sweep.name(node))),
      op === null ? make("p", { text: "a leaf: an input, a parameter or a constant" }) : make("p", { class: "formula" }, bdi(sweep.symbols(node)), make("br"), make("span", { text: sweep.numbers(node) })),
      make("dl", {}, ...facts.flatMap(([term, text, exact]) => [make("dt", { text: term }), make("dd", { title: exact }, bdi(text))])),
      list("Operands", slopes),
      list("Messages in", sweep.into[node].slice(0, 50).map((m) => item(m, "node")), sweep.into[node].length),
      list("Messages out", sweep.outOf[node].slice(0, 50).map((m) => item(m, "operand")), sweep.outOf[node].length),
    );
  }

  // ---- the camera

  #resized() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    const first = !this.stageSize;
    this.stageSize = { width, height };
    if (first || !this.moved) this.#fit(false);
    else this.#aim(this.eye);
  }

  /** Everything in sight; if that were too small to read, the start of it in a readable size. */
  #fit(all) {
    if (!this.stageSize) return;
    const { width, height } = this.stageSize;
    const [w, h] = this.view.layout.size;
    const pad = Math.min(36, width / 20);
    const whole = Math.min((width - 2 * pad) / w, (height - 2 * pad - 24) / h, 1.35);
    const k = all || whole > 0.6 ? whole : Math.max(whole, 0.8);
    this.moved = all;
    const start = k === whole ? (width - w * k) / 2 : pad;
    this.#aim({ k, x: start, y: (height - h * k) / 2 });
    if (k !== whole) this.#showActive();
  }

  #aim(eye, smooth = false) {
    this.eye = eye;
    this.camera.style.transition = smooth && !wantsStillness() ? "transform 180ms ease-out" : "";
    this.camera.style.transform = `translate(${eye.x}px, ${eye.y}px) scale(${eye.k})`;
    if (this.view) this.#cull();
    this.#moveCallout();
  }

  /** Bring a part of the picture into sight, if it is not. */
  #look(part, readable = false) {
    if (!this.stageSize) return;
    const { width, height } = this.stageSize;
    const k = readable ? Math.max(this.eye.k, 0.8) : this.eye.k;
    let { x, y } = k === this.eye.k ? this.eye : { x: width / 2 - (part.x + part.w / 2) * k, y: height / 2 - (part.y + part.h / 2) * k };
    const pad = 40;
    const shift = (at, size, room) => {
      if (at >= pad && at + size <= room - pad) return 0;
      if (size > room - 2 * pad) return (room - size) / 2 - at;
      return at < pad ? room * 0.6 - size / 2 - at > 0 ? Math.min(room * 0.6 - at - size / 2, room - pad - size - at) : pad - at : Math.max(room * 0.4 - size / 2 - at, pad - at);
    };
    const [dx, dy] = [shift(x + part.x * k, part.w * k, width), shift(y + part.y * k, part.h * k, height)];
    if (dx || dy || k !== this.eye.k) this.#aim({ x: x + dx, y: y + dy, k }, SPEEDS[this.speed] <= 5);
  }

  #zoom(factor, [px, py] = [this.stageSize.width / 2, this.stageSize.height / 2]) {
    const k = clamp(this.eye.k * factor, 0.02, 4);
    const scale = k / this.eye.k;
    this.moved = true;
    this.#aim({ k, x: px - (px - this.eye.x) * scale, y: py - (py - this.eye.y) * scale });
  }

  #listenToPointers() {
    const pointers = new Map();
    const at = (event) => {
      const { left, top } = this.svg.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    this.svg.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, at(event));
      this.dragged = false;
    });
    this.svg.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = at(event);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (!this.dragged && Math.hypot(dx, dy) < 4) return;
      this.dragged = this.moved = true;
      this.svg.setPointerCapture(event.pointerId);
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      pointers.set(event.pointerId, now);
      if (!others.length) return this.#aim({ ...this.eye, x: this.eye.x + dx, y: this.eye.y + dy });
      const apart = (p) => Math.hypot(p[0] - others[0][0], p[1] - others[0][1]) || 1;
      this.#zoom(apart(now) / apart(before), others[0]);
    });
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, (event) => pointers.delete(event.pointerId));
    this.svg.addEventListener("click", (event) => {
      if (!this.dragged && !event.target.closest(".box")) this.select(null);
    });
    // the wheel alone scrolls the page, except in a page of our own
    const wheel = (event) => {
      if (!(event.ctrlKey || event.metaKey || this.payload.standalone)) return;
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), at(event));
    };
    this.svg.addEventListener("wheel", wheel, { passive: false });
  }

  // ---- while training

  /** Take the numbers of a new sweep of the same graph; view, step and selection stay. */
  update(record, history) {
    this.sweep.update(record);
    this.payload.history = history;
    this.views.forEach((view) => view.refresh());
    this.step = Math.min(this.step, this.view.last);
    this.slider.max = this.view.last;
    if (this.selected !== null) this.highlighted = this.view.boxes[this.selected].node === undefined ? null : this.sweep.paths(this.view.boxes[this.selected].node);
    this.#refreshAll();
    this.#showSide();
  }
}

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

function overlap(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return w > 0 && h > 0 ? w * h : 0;
}

/** Where a rectangle lies nearest to a point without covering any of the others; null if there is no room. */
export function freePlace([cx, cy], [w, h], [width, height], taken) {
  const near = taken.filter((b) => b.x < width && b.x + b.w > 0 && b.y < height && b.y + b.h > 0);
  let best = null;
  for (let y = 4; y + h <= height - 4; y += 6) {
    for (let x = 4; x + w <= width - 4; x += 12) {
      const distance = Math.hypot(x + w / 2 - cx, 1.5 * (y + h / 2 - cy));
      if (best && distance >= best.distance) continue;
      if (!near.some((b) => x < b.x + b.w + 3 && x + w > b.x - 3 && y < b.y + b.h + 2 && y + h > b.y - 5)) best = { x, y, w, h, distance };
    }
  }
  return best;
}

function union(parts) {
  const [x, y] = [Math.min(...parts.map((p) => p.x)), Math.min(...parts.map((p) => p.y))];
  return { x, y, w: Math.max(...parts.map((p) => p.x + p.w)) - x, h: Math.max(...parts.map((p) => p.y + p.h)) - y };
}

/** The point in the middle of a chain of cubic Bézier curves. */
function middle(points) {
  const pieces = (points.length - 2) / 6;
  const at = 6 * Math.floor((pieces - 1) / 2);
  if (pieces % 2 === 0) return points.slice(at + 6, at + 8);
  const weights = [1 / 8, 3 / 8, 3 / 8, 1 / 8];
  return [0, 1].map((c) => weights.reduce((sum, w, i) => sum + w * points[at + 2 * i + c], 0));
}

function list(title, items, all = items.length) {
  if (!items.length) return null;
  const more = all > items.length ? [make("li", { class: "more", text: `… and ${(all - items.length).toLocaleString("en")} more` })] : [];
  return make("div", { class: "list" }, make("h4", { text: `${title} (${all.toLocaleString("en")})` }), make("ul", {}, ...items, ...more));
}

/** The output over the updates of a training run. */
function sparkline(history) {
  const values = history.map(number).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((v, i) => `${((i / Math.max(values.length - 1, 1)) * 240).toFixed(1)} ${(44 - ((v - low) / (high - low || 1)) * 40).toFixed(1)}`);
  const title = `${count(history.length, "update")}: ${show(number(history[0]))} → ${show(number(history.at(-1)))}`;
  const picture = make("svg", { viewBox: "0 0 240 48", class: "history", role: "img", "aria-label": title, preserveAspectRatio: "none" }, make("path", { d: `M${points.join("L")}` }));
  return make("section", {}, make("h3", { text: "The output while training" }), picture, make("p", { text: title }));
}

/** Start the viewer of a saved page: the data lie in the page. */
export function start() {
  const payload = JSON.parse(document.getElementById("gradient-flow-data").textContent);
  window.gradientFlow = new Viewer(document.getElementById("gradient-flow"), { ...payload, standalone: window.parent === window });
  try {
    window.frameElement?.parentElement.querySelector(".gradient-flow-picture")?.remove();
  } catch {
    // in a frame of another origin: the picture stays beside the viewer
  }
}

/** anywidget's entry. */
export default {
  render({ model, el }) {
    let viewer = null;
    const mount = () => {
      viewer?.destroy();
      const payload = JSON.parse(model.get("payload"));
      const root = document.createElement("div");
      el.replaceChildren(root);
      if (payload.record) viewer = new Viewer(root, payload);
      else root.textContent = payload.message;
      el.gradientFlow = viewer;
    };
    const update = () => {
      const { record, history } = JSON.parse(model.get("numbers"));
      viewer?.update(record, history);
    };
    mount();
    model.on("change:payload", mount);
    model.on("change:numbers", update);
    return () => {
      model.off("change:payload", mount);
      model.off("change:numbers", update);
      viewer?.destroy();
    };
  },
};
