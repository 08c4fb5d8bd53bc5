// A slider and a field for each leaf.

const rounded = (number) => Number(number.toPrecision(4));

export class Sliders {
  /** `onMove(leaf, number)` is called while a slider moves, `onChoose(leaf)` when its derivative should be written out. */
  constructor(root, { onMove, onChoose }) {
    this.root = root;
    this.onMove = onMove;
    this.onChoose = onChoose;
    this.rows = new Map();
  }

  /** Show the leaves of a program; rows of the same leaves stay, so a slider keeps the pointer that drags it. */
  show(leaves, wrt) {
    const same = leaves.length === this.rows.size && leaves.every(({ index, name }) => this.rows.get(index)?.name === name);
    if (!same) {
      this.rows = new Map(leaves.map((leaf) => [leaf.index, this.#row(leaf)]));
      this.root.replaceChildren(...[...this.rows.values()].map(({ element }) => element));
    }
    this.set(leaves);
    for (const [index, row] of this.rows) row.element.classList.toggle("chosen", index === wrt);
  }

  /** Put the sliders at these numbers. */
  set(leaves) {
    for (const { index, data } of leaves) this.#set(this.rows.get(index), data);
  }

  #row({ index, name, data }) {
    const reach = Math.max(3, Math.ceil(2 * Math.abs(data)));
    const element = document.createElement("div");
    const label = Object.assign(document.createElement("button"), { type: "button", className: "name", title: `Write out the derivative by ${name}` });
    label.append(Object.assign(document.createElement("bdi"), { textContent: name }));
    const range = Object.assign(document.createElement("input"), { type: "range", min: -reach, max: reach, step: reach / 300 });
    const field = Object.assign(document.createElement("input"), { type: "number", step: "any" });
    range.setAttribute("aria-label", name);
    field.setAttribute("aria-label", `${name}, as a number`);
    element.className = "input-row";
    element.append(label, range, field);
    const row = { name, element, range, field };
    range.addEventListener("input", () => {
      field.value = rounded(Number(range.value));
      this.onMove(index, Number(range.value));
    });
    field.addEventListener("input", () => {
      if (field.value === "" || !Number.isFinite(field.valueAsNumber)) return;
      range.value = field.valueAsNumber;
      this.onMove(index, field.valueAsNumber);
    });
    label.addEventListener("click", () => this.onChoose(index));
    return row;
  }

  #set({ range, field }, data) {
    const number = Number(data);
    if (document.activeElement !== field) field.value = rounded(number);
    if (document.activeElement !== range || Math.abs(Number(range.value) - number) > Number(range.step)) range.value = number;
  }
}
