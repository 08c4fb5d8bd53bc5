// One view of the sweep: some boxes are nodes, others are folded groups; and the steps through it.

import { count, names, show } from "./text.js";

export class View {
  constructor(sweep, view, layout) {
    this.sweep = sweep;
    this.name = view.name;
    this.group = view.group;
    this.layout = layout;
    this.frames = view.frames;
    this.boxes = view.boxes.map((code) => (code >= 0 ? { node: code } : { group: -1 - code }));
    this.#findHomes();
    this.#outline();
    this.#findNeurons();
    this.refresh();
  }

  /** Where boxes and arrows lie, and in which order boxes are read. */
  #outline() {
    const { centres, sizes, curves, arrows } = this.layout;
    this.bounds = centres.map(([x, y], i) => ({ x: x - sizes[i][0] / 2, y: y - sizes[i][1] / 2, w: sizes[i][0], h: sizes[i][1] }));
    this.reach = curves.map((points) => {
      const [xs, ys] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2)];
      const [x, y] = [Math.min(...xs), Math.min(...ys)];
      return { x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y };
    });
    this.reading = centres.map((_, i) => i).sort((a, b) => centres[a][0] - centres[b][0] || centres[a][1] - centres[b][1]);
    this.incoming = centres.map(() => []);
    arrows.forEach(([, head], i) => this.incoming[head].push(i));
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

  /** The z of folded neurons, and the weights of the arrows that lead into them. */
  #findNeurons() {
    const { deltas, weights } = this.sweep;
    const sums = new Map();
    for (const [group, node] of deltas) {
      const box = this.home[node];
      if (box < 0 || this.boxes[box].group !== group) continue;
      sums.set(box, [...(sums.get(box) ?? []), node]);
    }
    this.boxes.forEach((box, i) => (box.sums = sums.get(i) ?? []));
    this.weights = new Map(); // "tail head" → parameters
    for (const [other, parameter, product] of weights) {
      const head = this.home[product];
      if (!sums.has(head) || this.home[parameter] !== head) continue;
      const key = `${this.home[other]} ${head}`;
      this.weights.set(key, new Set([...(this.weights.get(key) ?? []), parameter]));
    }
  }

  /** The number of the single weight by which what an arrow carries is multiplied; else null. */
  weight({ tail, head }) {
    const found = this.weights.get(`${tail} ${head}`);
    return found?.size === 1 ? this.sweep.data[[...found][0]] : null;
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
    this.largestWeight = Math.max(0, ...this.arrows.map((a) => Math.abs(this.weight(a) ?? 0)).filter(Number.isFinite));
    this.largest = Math.max(0, ...this.arrows.map((a) => Math.abs(a.sum)).filter(Number.isFinite));
  }

  get last() {
    return this.steps.length - 1;
  }

  get outputBox() {
    return this.home[this.sweep.output];
  }

  /** How far the sweep is at a step, in terms that hold in every view; null at the start. */
  timeAt(step) {
    for (let i = step; i > 0; i--) {
      const { kind, time } = this.steps[i];
      if (kind === "seed") return { backward: true, time: -1 };
      if (kind !== "start") return { backward: kind === "message", time };
    }
    return null;
  }

  /** The last step that does not go further than another view was (`timeAt`). */
  stepAt({ backward, time }) {
    const { steps, seed } = this;
    const kind = backward ? "message" : "forward";
    let at = backward ? seed : 0;
    while (at + 1 < steps.length && steps[at + 1].kind === kind && steps[at + 1].time <= time) at++;
    return at;
  }

  /** The boxes and arrows that a step is about. */
  active(index) {
    const step = this.steps[index];
    if (step.kind === "forward") return { boxes: [step.box], arrows: this.incoming[step.box].slice(0, 200) };
    if (step.kind === "seed") return { boxes: [this.outputBox], arrows: [] };
    if (step.kind === "message") return { boxes: [this.arrows[step.arrow].tail], arrows: [step.arrow] };
    return { boxes: [], arrows: [] };
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
      if (step.kind === "seed") this.boxes.forEach((_, box) => boxes.add(box)); // from now on they wait for messages
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

  /** A step in words: a heading, the equation, and an explanation. */
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
    const terms = [...more, ...sums].join(" + ").replaceAll("+ −", "− ");
    const sum = arrived.length > 1 ? `${terms} = ${show(arrow.total)}` : show(arrow.total);
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
