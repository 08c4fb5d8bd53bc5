// The panel beside the picture: a summary, or everything about the selected node or group.

import { layerChart, sparkline } from "./charts.js";
import { bdi, make } from "./dom.js";
import { count, shorten, show } from "./text.js";

const LONGEST = 50; // entries of a list that are written out

/**
 * The parts of the panel.
 *
 * `state` has the sweep, the view, the step, the number of the selected box (or null), the paths from the selected
 * node to the output (or null), the title, and the history of a training run (or undefined); `reveal(node)` and
 * `openGroup(group)` are called for links.
 */
export function details(state, { reveal, openGroup }) {
  const { sweep, view, selected, title, history } = state;
  const parts = [];
  const trouble = troubleText(sweep);
  if (trouble) parts.push(make("p", { class: "trouble", text: trouble }));
  if (selected === null) parts.push(summary(sweep, title), hint());
  else if (view.boxes[selected].node === undefined) parts.push(groupDetails(state, openGroup));
  else parts.push(nodeDetails(state, reveal));
  if (sweep.layers.length > 1) parts.push(layerChart(sweep.layers));
  if (history?.length > 1) parts.push(sparkline(history));
  return parts;
}

function troubleText(sweep) {
  const { node, message } = sweep.trouble;
  if (node !== null) return `⚠ The first number that is not finite: ${sweep.name(node)} = ${sweep.numbers(node)}`;
  if (message === null) return "";
  const m = sweep.messages[message];
  return `⚠ The first message that is not finite: ${sweep.name(m.node)} → ${sweep.name(m.operand)}, ${sweep.equation(m)}`;
}

function summary(sweep, title) {
  const facts = [
    [sweep.name(sweep.output), show(sweep.data[sweep.output])],
    ["nodes", (sweep.nodes.length - sweep.first).toLocaleString("en")],
    ["messages", sweep.messages.length.toLocaleString("en")],
  ];
  if (sweep.checks) {
    const checks = sweep.checks.filter(Boolean);
    facts.push(["finite differences agree", `${checks.filter((c) => c.agrees).length} of ${checks.length}`]);
  }
  const rows = facts.flatMap(([term, text]) => [make("dt", {}, bdi(term)), make("dd", { text })]);
  return make("section", { class: "details" }, make("h3", {}, bdi(title)), make("dl", {}, ...rows));
}

function hint() {
  const key = (text) => make("kbd", { text });
  const text = "Click a node for its operands, formula, derivatives and messages. Double-click a folded group to open it.";
  const keys = make("p", { class: "keys" }, key("←"), key("→"), " step ", key("space"), " play ", key("home"), key("end"));
  return make("section", { class: "hint" }, make("p", { text }), keys);
}

function groupDetails({ sweep, view, step, selected }, openGroup) {
  const { group, members, arrivals, sends } = view.boxes[selected];
  const { name, path } = sweep.groups[group];
  const text = (arrow) => (arrow.step <= step ? view.arrowText(arrow) : "still to come");
  const item = (arrow, end) => make("li", {}, bdi(view.fullName(arrow[end])), make("span", { text: text(arrow) }));
  return make(
    "section",
    { class: "details" },
    make("h3", {}, bdi(path || name)),
    make("p", { text: `${count(members, "node")}, folded` }),
    make("button", { type: "button", class: "open", onclick: () => openGroup(group), text: "Open" }),
    list("Messages in", arrivals.map((a) => item(a, "head"))),
    list("Messages out", sends.map((a) => item(a, "tail"))),
  );
}

function nodeDetails(state, reveal) {
  const { sweep, view, step, selected } = state;
  const { node } = view.boxes[selected];
  const { op, group, label } = sweep.nodes[node];
  const link = (n) => make("button", { type: "button", class: "link", onclick: () => reveal(n) }, bdi(sweep.name(n, group)));
  const now = view.timeAt(step);
  const text = (m) => (now?.backward && m <= now.time ? sweep.equationWithChange(sweep.messages[m]) : "still to come");
  const item = (m, end) => make("li", {}, link(sweep.messages[m][end]), make("span", { text: text(m) }));
  const messages = (title, all, end) => list(title, all.slice(0, LONGEST).map((m) => item(m, end)), all.length);
  return make(
    "section",
    { class: "details" },
    make("h3", {}, bdi(label ?? sweep.name(node))),
    op === null ? make("p", { text: sweep.nodes[node].input ? "an input: a plain number, to which no message goes" : "a leaf: an input, a parameter or a constant" }) : formula(sweep, node),
    make("dl", {}, ...nodeFacts(state, node)),
    list("Operands", operandItems(sweep, node, link)),
    messages("Messages in", sweep.into[node], "node"),
    messages("Messages out", sweep.outOf[node], "operand"),
  );
}

function formula(sweep, node) {
  return make("p", { class: "formula" }, bdi(sweep.symbols(node)), make("br"), make("span", { text: sweep.numbers(node) }));
}

function nodeFacts({ sweep, whatIf, view, step, selected, paths }, node) {
  const { op, source } = sweep.nodes[node];
  const { adjoint, complete } = view.at(selected, step);
  const facts = [["value", show(sweep.data[node]), String(sweep.data[node])]];
  const changed = sweep.changes(node);
  if (changed.data) facts.push(["value before", `${show(sweep.before.data[node])} (${changed.data})`, String(sweep.before.data[node])]);
  if (op !== null) facts.push(["operation", op]);
  if (adjoint !== null) facts.push([complete ? "adjoint" : "adjoint so far", show(adjoint), String(adjoint)]);
  if (changed.adjoint && complete) facts.push(["adjoint before", `${show(sweep.before.adjoints[node] ?? 0)} (${changed.adjoint})`]);
  const check = sweep.checks?.[node] ?? (complete ? whatIf.check(node, sweep.adjoints[node]) : null);
  if (check) {
    const verdict = check.agrees ? "✓ agrees" : `✗ differs by ${show(check.slope - sweep.adjoints[node])}`;
    facts.push(["finite difference", `${show(check.slope)} ${verdict}`]);
  }
  if (!sweep.nodes[node].input) facts.push(["paths to the output", paths.count.toLocaleString("en")]);
  if (source) facts.push(["made at", source]);
  return facts.flatMap(([term, text, exact]) => [make("dt", { text: term }), make("dd", { title: exact }, bdi(text))]);
}

/** Every operand with its value, and the local derivative by it in symbols and as a number. */
function operandItems(sweep, node, link) {
  const { operands, group } = sweep.nodes[node];
  return operands.slice(0, LONGEST).map((operand, slot) => {
    if (operand === null) {
      const constant = show(sweep.constants[node][slot]);
      return make("li", {}, constant, "", make("div", { class: "slope" }, bdi("a constant")));
    }
    const local = sweep.local[node][slot];
    const name = shorten(sweep.name(operand, group));
    const slope = local === null ? "not selected: no message" : `∂/∂${name}${equalities(sweep.slope(node, slot), show(local))}`;
    const value = make("span", { class: "value", text: ` = ${show(sweep.data[operand])}` });
    return make("li", {}, link(operand), value, make("div", { class: "slope" }, bdi(slope)));
  });
}

/** " = formula = number", or " = number" if the formula is the number. */
const equalities = (formula, value) => (formula === value ? ` = ${value}` : ` = ${formula} = ${value}`);

function list(title, items, all = items.length) {
  if (!items.length) return null;
  const more = all > items.length ? [make("li", { class: "more", text: `… and ${(all - items.length).toLocaleString("en")} more` })] : [];
  return make("div", { class: "list" }, make("h4", { text: `${title} (${all.toLocaleString("en")})` }), make("ul", {}, ...items, ...more));
}
