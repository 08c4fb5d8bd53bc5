// The sweep that is shown: nodes, messages and formulas. No derivative is computed here.

import { number, show, showChange } from "./text.js";

/** What Python recorded, with numbers in place of "nan" and "inf". */
export class Sweep {
  constructor({ record }) {
    this.nodes = record.nodes;
    this.groups = record.groups;
    this.first = record.first; // the number of inputs, which come before the nodes of the graph
    this.weights = record.weights;
    this.deltas = record.deltas;
    this.before = null; // data and adjoints before the reader changed a leaf
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
    if (label === null) return `v${node - this.first}`;
    for (let g = group; g !== null; g = this.groups[g].parent) {
      const path = this.groups[g].path;
      if (path && label.startsWith(path + ".")) return label.slice(path.length + 1);
    }
    return label;
  }

  /** A template with the names, or the numbers, of operands and result in it. */
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

  /** The formula with numbers in it: 0.4 × 0.5933 = 0.2373. */
  numbers(node) {
    const result = show(this.data[node]);
    return this.nodes[node].op === null ? result : `${this.fill(this.formulas[this.formula[node]], node, true)} = ${result}`;
  }

  /** The local derivative by an operand in symbols; its number where there is no formula. */
  slope(node, slot, numbers = false) {
    const template = this.slopes[node][slot];
    if (template !== null) return this.fill(this.formulas[template], node, numbers);
    return this.local[node][slot] === null ? "" : show(this.local[node][slot]);
  }

  /** By how much the number of a node has changed, and its derivative; empty where they have not. */
  changes(node) {
    if (!this.before) return { data: "", adjoint: "" };
    const { data, adjoints } = this.before;
    return { data: showChange(data[node], this.data[node]), adjoint: showChange(adjoints[node] ?? 0, this.adjoints[node] ?? 0) };
  }

  /** The equation of a message, and by how much the message has changed. */
  equationWithChange(m) {
    if (!this.before) return this.equation(m);
    const { adjoints, local } = this.before;
    const old = local[m.node][m.slot];
    const change = showChange(old === null || adjoints[m.node] === null ? 0 : adjoints[m.node] * old, m.message);
    return this.equation(m) + (change ? ` (${change})` : "");
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

  /** Nodes whose name contains the text: those that begin with it first. */
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
