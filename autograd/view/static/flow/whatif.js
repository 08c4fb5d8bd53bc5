// "What if": leaves get other numbers, and value, messages and derivatives of the whole graph follow.

import { evaluate, localDerivatives } from "./arithmetic.js";
import { branches } from "./rules.js";
import { number } from "./text.js";

const LARGEST_CHECK = 3000; // nodes: in a larger graph no difference is taken

export class WhatIf {
  /** Takes what Python recorded; the record stays as it is. */
  constructor(record) {
    this.nodes = record.nodes;
    this.groups = record.groups;
    this.leaves = this.nodes.flatMap((node, i) => (node.op === null ? [i] : []));
    this.unknown = new Set(record.unknown);
    this.start(record);
  }

  /** Start from these numbers; nothing is changed any more. */
  start(record) {
    this.record = record;
    this.data = record.values.data.map(number);
    this.local = record.values.local.map((slots) => slots.map(number));
    this.constants = record.values.constants.map((slots) => slots.map(number));
    this.adjoints = record.adjoints.map(number);
    this.changes = new Map(); // leaf → number
  }

  get output() {
    return this.nodes.length - 1;
  }

  /** Give a leaf a number; the recorded one takes the change back. */
  set(leaf, value) {
    if (Object.is(value, this.data[leaf])) this.changes.delete(leaf);
    else this.changes.set(leaf, value);
  }

  /** What a leaf is now. */
  get(leaf) {
    return this.changes.has(leaf) ? this.changes.get(leaf) : this.data[leaf];
  }

  /** The first node that cannot be computed here and depends on a change; -1 if there is none. */
  blocked() {
    if (!this.unknown.size || !this.changes.size) return -1;
    const touched = new Set(this.changes.keys());
    return this.nodes.findIndex(({ operands }, i) => {
      if (operands.some((o) => touched.has(o))) touched.add(i);
      return touched.has(i) && this.unknown.has(i);
    });
  }

  /** Whether a message may go to an operand: to a node, not to a constant or an input. */
  #hears(operand) {
    return operand !== null && !this.nodes[operand].input;
  }

  /** The operands of a node among these numbers. */
  #operands(node, data) {
    return this.nodes[node].operands.map((o, slot) => (o === null ? this.constants[node][slot] : data[o]));
  }

  /** The numbers of all nodes after some have changed. */
  #forward(changes) {
    const data = [...this.data];
    const touched = new Uint8Array(data.length);
    changes.forEach((value, node) => {
      data[node] = value;
      touched[node] = 1;
    });
    this.nodes.forEach(({ op, operands }, i) => {
      if (op === null || touched[i] || !operands.some((o) => o !== null && touched[o])) return;
      touched[i] = 1;
      data[i] = evaluate(op, this.#operands(i, data));
    });
    return { data, touched };
  }

  /** ∂output/∂node by a central difference, or null where that is impossible. */
  difference(node) {
    if (this.unknown.size || this.nodes[node].input) return null;
    const now = this.#forward(this.changes).data;
    const x = now[node];
    if (!Number.isFinite(x)) return null;
    const step = 2 ** (Math.max(x ? Math.floor(Math.log2(Math.abs(x))) + 1 : 0, 0) - 17);
    const moved = (by) => this.#forward(new Map([...this.changes, [node, x + by]])).data[this.output];
    const slope = (moved(step) - moved(-step)) / (2 * step);
    return Number.isFinite(slope) ? slope : null;
  }

  /** The difference, and whether the derivative agrees with it (as `_checks` in record.py); null where there is none. */
  check(node, adjoint) {
    const slope = this.nodes.length > LARGEST_CHECK ? null : this.difference(node);
    if (slope === null) return null;
    const now = this.#forward(this.changes).data[this.output];
    const [noise, derivative] = [1e-9 * Math.max(1, Math.abs(now)), adjoint ?? 0];
    const bound = noise + 1e-6 * Math.max(Math.abs(slope), Math.abs(derivative));
    return { slope, agrees: Math.abs(slope - derivative) <= bound };
  }

  /** All that depends on the numbers, as Python would record it. */
  numbers() {
    const { record, nodes, constants } = this;
    if (!this.changes.size) return record;
    const { data, touched } = this.#forward(this.changes);
    const [local, slopes] = [[...this.local], [...record.values.slopes]];
    nodes.forEach(({ op, operands }, i) => {
      if (op === null || !touched[i]) return;
      const xs = this.#operands(i, data);
      local[i] = localDerivatives(op, xs, data[i]).map((d, slot) => (this.#hears(operands[slot]) ? d : null));
      if (!this.#alike(i, op, xs, data[i], local[i])) slopes[i] = local[i].map(() => null); // numbers in place of formulas
    });
    const { messages, adjoints } = this.#reverse(local);
    return {
      ...record,
      values: { ...record.values, data, local, constants, slopes },
      messages,
      adjoints,
      layers: this.#layers(adjoints),
      trouble: {
        node: at(data.findIndex((x) => !Number.isFinite(x))),
        message: at(messages.message.findIndex((x, i) => !Number.isFinite(x) || !Number.isFinite(messages.total[i]))),
      },
      checks: null,
    };
  }

  /** Whether a node's local derivatives are given by the formulas that were recorded. */
  #alike(node, op, xs, y, local) {
    const before = this.local[node];
    if (local.some((d, slot) => (d === null) !== (before[slot] === null))) return false;
    if (op === "max" || op === "min") return local.every((d, slot) => d === before[slot]);
    if (!(op in branches)) return true;
    const [old, now] = [branches[op](...this.#operands(node, this.data), this.data[node]), branches[op](...xs, y)];
    return now.every((truth, i) => truth === old[i]);
  }

  /** The reverse sweep: as `reverse` in sweep.py, message by message. */
  #reverse(local) {
    const adjoints = this.nodes.map(() => null);
    const messages = { node: [], slot: [], message: [], total: [] };
    adjoints[this.output] = 1;
    for (let i = this.output; i >= 0; i--) {
      if (adjoints[i] === null) continue;
      this.nodes[i].operands.forEach((operand, slot) => {
        const derivative = local[i][slot];
        if (!this.#hears(operand) || derivative === null) return;
        const message = adjoints[i] * derivative;
        const total = adjoints[operand] === null ? message : adjoints[operand] + message;
        adjoints[operand] = total;
        messages.node.push(i);
        messages.slot.push(slot);
        messages.message.push(message);
        messages.total.push(total);
      });
    }
    return { messages, adjoints };
  }

  /** The mean |adjoint| of each outermost module: of the nodes computed in it, or of its leaves. */
  #layers(adjoints) {
    const outermost = (group) => {
      while (group !== null && this.groups[group].parent !== null) group = this.groups[group].parent;
      return group;
    };
    const sizes = new Map(this.record.layers.map(({ group }) => [group, { computed: [], leaves: [] }]));
    this.nodes.forEach(({ op, group }, i) => {
      sizes.get(outermost(group))?.[op === null ? "leaves" : "computed"].push(Math.abs(adjoints[i] ?? 0));
    });
    return this.record.layers.map((layer) => {
      const { computed, leaves } = sizes.get(layer.group);
      return { ...layer, mean: evaluate("fsum", computed.length ? computed : leaves) / (computed.length || leaves.length) };
    });
  }
}

const at = (index) => (index < 0 ? null : index);
