// The viewer's pure modules. tests/test_flow.py runs this file with FLOW_SAMPLES set to a folder with records that
// Python made, and with a copy of the modules.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.FLOW_SAMPLES;
if (!folder) throw new Error("FLOW_SAMPLES is not set: run these tests with pytest tests/test_flow.py");
const load = (name) => import(pathToFileURL(`${folder}/flow/${name}.js`));
const { freePlace } = await load("geometry");
const { layerBars, sign, thickness } = await load("scales");
const { Sweep } = await load("sweep");
const { number, shorten, show } = await load("text");
const { View } = await load("view");
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const open = (name, index) => {
  const payload = read(name);
  const sweep = new Sweep(payload);
  const view = payload.views[index ?? payload.first];
  return { payload, sweep, view: new View(sweep, view, payload.layouts[view.layout]) };
};
const nodeNamed = (sweep, name) => sweep.nodes.findIndex((_, i) => sweep.name(i) === name);

test("numbers print as in Python", () => {
  for (const [x, expected] of read("numbers")) assert.equal(show(number(x)), expected, String(x));
});

test("long names are cut in the middle, between letters", () => {
  assert.equal(shorten("short"), "short");
  assert.equal(shorten("layers[0].neurons[13].w[12]", 12), "layers…w[12]");
  const family = "👩‍👩‍👧‍👦";
  assert.ok(shorten(family.repeat(30), 9).split("…").every((part) => part.replaceAll(family, "") === ""));
  assert.ok(!/[\ud800-\udbff](?![\udc00-\udfff])/.test(shorten("🎉".repeat(40), 7)));
});

test("x * x: two arrows, two messages, one sum", () => {
  const { view } = open("square");
  assert.equal(view.arrows.length, 2);
  assert.deepEqual(view.steps.map((s) => s.kind), ["start", "forward", "seed", "message", "message"]);
  assert.deepEqual([2, 3, 4].map((step) => view.at(0, step).adjoint), [null, 3, 6]);
  assert.deepEqual([2, 3, 4].map((step) => view.at(0, step).pending), [2, 1, 0]);
  assert.match(view.describe(3).note, /Sum at x: 3\. Still to come: v1\./);
  assert.match(view.describe(4).note, /Sum at x: 3 \+ 3 = 6\. All have arrived\./);
});

test("forward steps show the formula with numbers put in", () => {
  const { sweep, view } = open("example");
  const texts = view.steps.map((_, i) => view.describe(i).equation);
  assert.ok(texts.includes("0.4 × 0.5933 = 0.2373"), texts.join("\n"));
  assert.ok(texts.includes("0.01 − 0.7514 = −0.7414"));
  assert.equal(sweep.numbers(nodeNamed(sweep, "h1")), "σ(0.3775) = 0.5933");
  assert.equal(sweep.slope(nodeNamed(sweep, "h1"), 0), "h1 × (1 − h1)");
  assert.equal(sweep.slope(nodeNamed(sweep, "h1"), 0, true), "0.5933 × (1 − 0.5933)");
});

test("negative numbers stand in parentheses where they have to", () => {
  const { sweep } = open("example");
  const node = nodeNamed(sweep, "o1");
  sweep.data[sweep.nodes[node].operands[0]] = -2;
  assert.equal(sweep.fill("{0} × {0}", node, true), "-2".replace("-", "−") + " × (−2)");
  assert.equal(sweep.fill("{0}²", node, true), "(−2)²");
  assert.equal(sweep.fill("σ({0})", node, true), "σ(−2)");
});

test("a message is adjoint × local derivative, and sums are those of the record", () => {
  for (const name of ["example", "network", "training", "evil"]) {
    const { sweep } = open(name);
    for (const m of sweep.messages) assert.equal(m.message, m.adjoint * m.local);
    sweep.nodes.forEach((_, i) => {
      if (sweep.into[i].length) assert.equal(sweep.messages[sweep.into[i].at(-1)].total, sweep.adjoints[i]);
    });
  }
});

test("in every view, what has arrived at the end is the adjoint; stepping back undoes stepping forward", () => {
  for (const name of ["example", "network", "training", "evil"]) {
    const { payload, sweep } = open(name);
    payload.views.forEach((_, index) => {
      const { view } = open(name, index);
      view.boxes.forEach((box, i) => {
        const start = view.at(i, 0);
        assert.equal(start.adjoint, null);
        if (box.node === undefined || box.node === sweep.output || !box.arrivals.length) return;
        const expected = sweep.adjoints[box.node];
        const complete = sweep.into[box.node].length === box.arrivals.reduce((n, a) => n + a.messages.length, 0);
        if (complete) assert.ok(Math.abs(view.at(i, view.last).adjoint - expected) <= 1e-12 * Math.max(1, Math.abs(expected)));
      });
    });
  }
});

test("a folded group shows the sum of the messages through it", () => {
  const { sweep, view } = open("training", 0);
  assert.ok(view.boxes.some((box) => box.group !== undefined));
  for (const arrow of view.arrows) {
    const expected = sweep.messages
      .filter((m) => view.home[m.operand] === arrow.tail && view.home[m.node] === arrow.head)
      .reduce((sum, m) => sum + m.message, 0);
    assert.ok(Math.abs(arrow.sum - expected) <= 1e-12 * Math.max(1, Math.abs(expected)));
  }
  assert.equal(view.boxes.reduce((n, box) => n + box.members, 0), sweep.nodes.length);
});

test("only what a step changes is painted anew", () => {
  const { view } = open("example");
  const snapshot = (step) => view.boxes.map((_, i) => JSON.stringify([view.at(i, step).computed, view.at(i, step).adjoint, view.at(i, step).pending]));
  for (let step = 1; step <= view.last; step++) {
    const [before, after] = [snapshot(step - 1), snapshot(step)];
    const { boxes } = view.changes(step - 1, step);
    before.forEach((text, i) => assert.ok(text === after[i] || boxes.has(i), `box ${i} at step ${step}`));
    assert.ok(boxes.size <= 5 || view.steps[step].kind === "seed" || view.steps[step - 1].kind === "seed");
  }
});

test("paths to the output: the nodes on them, and their exact number", () => {
  const { sweep } = open("example");
  const { nodes, count } = sweep.paths(nodeNamed(sweep, "w1"));
  assert.equal(count, 2n);
  for (const name of ["w1", "h1", "o1", "o2", "E"]) assert.ok(nodes.has(nodeNamed(sweep, name)), name);
  assert.ok(!nodes.has(nodeNamed(sweep, "h2")));
  assert.equal(sweep.paths(sweep.output).count, 1n);
  const training = open("training").sweep;
  assert.equal(training.paths(nodeNamed(training, "layers[0].neurons[0].b")).count > 0n, true);
});

test("search finds labels, those that begin with the text first", () => {
  const { sweep } = open("network");
  const names = (text) => sweep.search(text).map((i) => sweep.name(i));
  assert.deepEqual(names("LAYERS[1].neurons[0].b"), ["layers[1].neurons[0].b"]);
  assert.ok(names("w[1]").length >= 5);
  assert.deepEqual(names("   "), []);
  assert.deepEqual(names("no such label"), []);
});

test("names are short within their module and whole outside", () => {
  const { sweep } = open("network");
  const node = nodeNamed(sweep, "layers[0].neurons[1].w[0]");
  assert.equal(sweep.name(node, sweep.nodes[node].group), "w[0]");
  assert.equal(sweep.name(node, null), "layers[0].neurons[1].w[0]");
});

test("labels are never taken for templates, prototypes or patterns", () => {
  const { sweep, view } = open("evil");
  for (const label of ["__proto__", "constructor", "]]>&lt;!--{0}{y}"]) assert.equal(sweep.search(label).length, 1, label);
  view.steps.forEach((_, i) => assert.equal(typeof view.describe(i).title, "string"));
  const node = nodeNamed(sweep, "]]>&lt;!--{0}{y}");
  const consumer = sweep.messages[sweep.into[node][0]].node;
  assert.ok(sweep.symbols(consumer).includes("]]>&lt;!--{0}{y}"));
});

test("numbers that are not finite arrive, and are pointed at", () => {
  const { sweep, view } = open("bad");
  assert.equal(sweep.data[sweep.trouble.node], -Infinity);
  assert.equal(sign(sweep.messages[sweep.trouble.message].message), "bad");
  assert.equal(thickness(NaN, 1), 5);
  assert.equal(typeof view.describe(view.last).equation, "string");
});

test("thickness grows with the magnitude", () => {
  const widths = [0, 1e-9, 1e-3, 0.1, 1].map((m) => thickness(m, 1));
  assert.deepEqual(widths, [...widths].sort((a, b) => a - b));
  assert.equal(widths.at(-1), 5);
});

test("layers: vanishing, exploding, dead", () => {
  const verdicts = (...means) => layerBars(means.map((mean) => ({ mean }))).map((l) => l.verdict);
  assert.deepEqual(verdicts(1e-5, 0.1, 1), ["vanishing", "", ""]);
  assert.deepEqual(verdicts(1e5, 3, 1), ["exploding", "", ""]);
  assert.deepEqual(verdicts(0, Infinity, 1), ["dead", "not finite", ""]);
  for (const { share } of layerBars([{ mean: 1e-30 }, { mean: 1 }, { mean: 0 }])) assert.ok(share >= 0 && share <= 1);
});

test("an update changes the numbers in place", () => {
  const { payload, sweep, view } = open("example");
  const record = structuredClone(payload.record);
  record.values.data[0] = 7;
  record.messages.message = record.messages.message.map((m) => 2 * m);
  sweep.update(record);
  view.refresh();
  assert.equal(sweep.data[0], 7);
  const step = view.steps.findIndex((s) => s.kind === "message");
  assert.equal(view.arrows[view.steps[step].arrow].sum, record.messages.message[0]);
});

test("the equation goes where nothing else is, as near as can be", () => {
  const size = [100, 24];
  const stage = [400, 300];
  const free = freePlace([200, 150], size, stage, []);
  assert.ok(Math.abs(free.x + 50 - 200) <= 6 && Math.abs(free.y + 12 - 150) <= 3);
  const box = { x: 140, y: 120, w: 120, h: 60 };
  const beside = freePlace([200, 150], size, stage, [box]);
  assert.ok(beside.x + 100 <= box.x || beside.x >= box.x + box.w || beside.y + 24 <= box.y || beside.y >= box.y + box.h);
  assert.equal(freePlace([200, 150], size, stage, [{ x: 0, y: 0, w: 400, h: 300 }]), null);
});
