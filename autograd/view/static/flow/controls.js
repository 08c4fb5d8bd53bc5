// The controls of "what if": a slider and a field for each leaf, a gradient step, and the way back.

import { bdi, make } from "./dom.js";
import { shorten, show, showChange } from "./text.js";

const MOST = 16; // leaves that have a row; others get one when they are selected

/** The range of a slider around a number. */
function range(x) {
  const reach = Number.isFinite(x) ? Math.max(1, 2 * Math.abs(x)) : 1;
  const middle = Number.isFinite(x) ? x : 0;
  return { min: middle - reach, max: middle + reach, step: reach / 500 };
}

export class Controls {
  /** `change(leaf, number)`, `step(rate, leaves)` and `reset()` are called for what the reader does. */
  constructor(id, sweep, whatIf, { change, step, reset }) {
    Object.assign(this, { id, sweep, whatIf, change });
    this.rows = new Map(); // leaf → its elements
    this.list = make("ul", { class: "leaves" });
    this.result = make("p", { class: "result", role: "status" });
    this.rate = make("input", { type: "number", value: 0.1, step: "any", "aria-label": "Size of the step", class: "rate" });
    this.reset = make("button", { type: "button", class: "small", onclick: reset, text: "Reset", disabled: true });
    const go = make("button", { type: "button", class: "small go", text: "Step", onclick: () => step(Number(this.rate.value), this.moving()) });
    go.title = "Every ticked leaf moves by − size × its derivative";
    this.element = make(
      "details",
      { class: "whatif" },
      make("summary", { text: "What if …" }),
      make("p", { class: "lead", text: "Give a leaf another number, or take a gradient step: all that depends on it follows." }),
      make("div", { class: "steps" }, make("label", {}, "Size ", this.rate), go, this.reset),
      this.result,
      this.list,
    );
    this.element.open = true;
    const shown = this.#first();
    shown.forEach((leaf) => this.#addRow(leaf));
    const more = whatIf.leaves.length - shown.length;
    if (more > 0) this.element.append(make("p", { class: "more", text: `Select one of the ${more.toLocaleString("en")} other leaves to change it.` }));
    this.show();
  }

  /** Parameters come first, in their order; then leaves with a label, then others. */
  #first() {
    const { nodes } = this.sweep;
    const rank = (leaf) => (this.#isParameter(leaf) || nodes[leaf].input ? 0 : nodes[leaf].label !== null ? 1 : 2);
    return [...this.whatIf.leaves].sort((a, b) => rank(a) - rank(b) || a - b).slice(0, MOST).sort((a, b) => this.#compare(a, b));
  }

  #compare(a, b) {
    const name = (leaf) => this.sweep.name(leaf);
    return name(a).localeCompare(name(b), "en", { numeric: true }) || a - b;
  }

  #isParameter(leaf) {
    const { group } = this.sweep.nodes[leaf];
    return group !== null && this.sweep.groups[group].kind === "module";
  }

  /** The leaves that a step moves: those that are ticked, and parameters without a row. */
  moving() {
    const modules = this.whatIf.leaves.some((leaf) => this.#isParameter(leaf));
    return this.whatIf.leaves.filter((leaf) => this.rows.get(leaf)?.tick.checked ?? (!modules || this.#isParameter(leaf)));
  }

  #addRow(leaf) {
    const name = this.sweep.name(leaf);
    const value = this.whatIf.get(leaf);
    const modules = this.whatIf.leaves.some((other) => this.#isParameter(other));
    const tick = make("input", { type: "checkbox", "aria-label": `${name} moves in a step`, title: "moves in a step" });
    tick.checked = !modules || this.#isParameter(leaf);
    tick.hidden = Boolean(this.sweep.nodes[leaf].input); // it has no derivative to follow
    const slider = make("input", { type: "range", ...range(value), "aria-label": `${name}, slider`, oninput: () => this.change(leaf, Number(slider.value)) });
    const typed = () => this.#typed(leaf, field);
    const onkeydown = (event) => event.key === "Enter" && typed(); // a notebook may keep the field from noticing
    const all = () => this.#put(field, this.whatIf.get(leaf), String);
    const onblur = () => this.#put(field, this.whatIf.get(leaf));
    const field = make("input", { type: "number", step: "any", "aria-label": name, onchange: typed, onkeydown, onfocus: all, onblur });
    const change = make("span", { class: "change" });
    const label = make("label", {}, tick, bdi(shorten(name, 28)));
    const row = make("li", { "data-leaf": leaf }, make("div", { class: "head" }, label, change), slider, field);
    this.rows.set(leaf, { row, tick, slider, field, change });
    this.list.append(row);
  }

  /** Show a number in a field: all digits while the reader is in it, else six. */
  #put(field, value, digits = (x) => String(Number(x.toPrecision(6)))) {
    field.value = field.dataset.shown = Number.isFinite(value) ? digits(value) : "";
  }

  #typed(leaf, field) {
    if (field.value === field.dataset.shown) return; // it may show fewer digits than the leaf has
    const value = field.value.trim() === "" ? NaN : Number(field.value);
    if (Number.isFinite(value)) this.change(leaf, value);
    else this.show();
  }

  /** Make sure that a leaf has a row, and bring it into sight. */
  reveal(leaf) {
    if (!this.rows.has(leaf)) this.#addRow(leaf);
    for (const { row } of this.rows.values()) row.classList.toggle("selected", Number(row.dataset.leaf) === leaf);
  }

  /** Bring all rows to the numbers as they are. */
  show(message = "") {
    const { whatIf, sweep } = this;
    this.rows.forEach(({ slider, field, change }, leaf) => {
      const value = whatIf.get(leaf);
      if (value < Number(slider.min) || value > Number(slider.max)) Object.assign(slider, range(value));
      slider.value = value;
      this.#put(field, value, field.matches(":focus") ? String : undefined);
      change.textContent = whatIf.changes.has(leaf) ? showChange(whatIf.data[leaf], value) : "";
    });
    this.reset.disabled = !whatIf.changes.size;
    const [before, now] = [whatIf.data[whatIf.output], sweep.data[whatIf.output]];
    const name = shorten(sweep.name(whatIf.output), 26);
    const parts = [bdi(name), ` ${show(before)} → ${show(now)} `, make("b", { text: showChange(before, now) })];
    this.result.replaceChildren(...(message ? [message] : whatIf.changes.size ? parts : []));
    this.result.classList.toggle("trouble", message !== "");
  }
}
