// The page: it runs the program while it is typed, and shows the graph, the sliders and the chain rule.

import { Editor } from "./editor.js";
import { examples } from "./examples.js";
import { Runner } from "./runner.js";
import { Sliders } from "./sliders.js";
import widget from "./viewer.js";

const PAUSE = 350; // milliseconds without a key before the program runs
const SECONDS = 4; // for a program that runs by itself
const PATIENCE = 60; // for one that was asked for
const QUICK = 40; // milliseconds: a program that takes longer runs again only when the sliders rest …
const REST = 120; // … for so long
const LONG = 1500; // milliseconds: after these a program that runs is stopped for one that was typed since

const at = (id) => document.getElementById(id);

/** What an anywidget is to its JavaScript: named values, and a call when one changes. */
class Model {
  constructor(values, onSave) {
    this.values = values;
    this.listeners = new Map();
    this.onSave = onSave;
  }
  save_changes() {
    this.onSave(this.values.changes);
  }
  get(name) {
    return this.values[name];
  }
  on(event, call) {
    this.listeners.set(event, call);
  }
  off(event) {
    this.listeners.delete(event);
  }
  set(name, value) {
    this.values[name] = value;
    this.listeners.get(`change:${name}`)?.();
  }
}

class Playground {
  constructor() {
    this.base = {}; // number of a leaf → its data in the picture, where it is not what the program says
    this.changes = {}; // node of a leaf → its data, in place of what the picture began with
    this.leaves = [];
    this.took = 0; // milliseconds, by the last answer
    this.wrt = null;
    this.picture = null; // the model of the viewer that is shown
    this.wanted = null; // the request that is next
    this.editor = new Editor(document.querySelector(".editor"), {
      onChange: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.program(SECONDS), PAUSE);
      },
      onRun: () => this.program(PATIENCE),
    });
    this.sliders = new Sliders(at("sliders"), {
      onMove: (leaf, number) => this.move(leaf, number),
      onChoose: (leaf) => this.choose(leaf),
    });
    this.runner = new Runner((state, text) => this.state(state, text));
    this.#fillExamples();
    this.#listen();
    this.read();
  }

  #fillExamples() {
    at("examples").replaceChildren(new Option("…", ""), ...examples.map(({ name }, i) => new Option(name, i)));
  }

  #listen() {
    at("run").addEventListener("click", () => this.program(PATIENCE));
    at("stop").addEventListener("click", () => this.runner.stop("stopped"));
    at("reset").addEventListener("click", () => {
      this.base = this.changes = {};
      this.ask({ seconds: SECONDS, fresh: true });
    });
    at("wrt").addEventListener("change", () => this.choose(Number(at("wrt").value)));
    at("examples").addEventListener("change", ({ target }) => {
      if (target.value !== "") this.load(examples[target.value].code);
    });
    at("share").addEventListener("click", () => this.share());
    window.addEventListener("hashchange", () => {
      if (location.hash !== this.hash) this.read();
    });
  }

  /** Take the program of the link, or else the first example. */
  read() {
    const found = /^#code=(.*)$/s.exec(location.hash);
    let code = examples[0].code;
    if (found) {
      try {
        code = decodeURIComponent(found[1]);
      } catch {
        this.complain("The link is cut short: its program cannot be read", null);
      }
    }
    this.load(code);
  }

  load(code) {
    this.editor.text = code;
    at("examples").value = examples.findIndex((example) => example.code === code).toString().replace("-1", "");
    this.program(SECONDS);
  }

  /** A changed program: its inputs are again as it says. */
  program(seconds) {
    clearTimeout(this.typing);
    this.base = this.changes = {};
    this.hash = `#code=${encodeURIComponent(this.editor.text)}`;
    if (`${location.hash}` !== this.hash) history.replaceState(null, "", this.hash);
    this.ask({ seconds, fresh: true });
  }

  /** A slider moves: the viewer computes what follows at once, and then asks for the program's own answer. */
  move(leaf, number) {
    const found = this.leaves.find(({ index }) => index === leaf);
    at("viewer").gradientFlow.change(new Map([[found.node, number]]));
  }

  /** Leaves have changed, here or in the viewer. */
  changed(changes) {
    this.changes = changes;
    this.sliders.set(this.leaves.map(({ index, node, data }) => ({ index, data: changes[node] ?? data })));
    at("reset").hidden = !Object.keys(this.moved).length;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.ask({ seconds: SECONDS }), this.took < QUICK ? 0 : REST);
  }

  /** Number of a leaf → its data, in place of what the program says. */
  get moved() {
    const changed = this.leaves.filter(({ node }) => node in this.changes);
    return { ...this.base, ...Object.fromEntries(changed.map(({ index, node }) => [index, this.changes[node]])) };
  }

  choose(leaf) {
    this.wrt = leaf;
    this.ask({ seconds: SECONDS });
  }

  /** Run as soon as the worker is free: of several requests the last one counts. */
  async ask(request) {
    this.wanted = { ...request, fresh: request.fresh || this.wanted?.fresh };
    if (this.asking) {
      if (request.fresh) this.#giveUp();
      return;
    }
    this.asking = true;
    while (this.wanted) {
      const { seconds, fresh } = this.wanted;
      this.wanted = null;
      const again = !fresh && this.picture !== null;
      const { moved, changes } = this;
      const begin = (this.begun = performance.now());
      const answer = await this.runner.run({ code: this.editor.text, moved, wrt: this.wrt, seconds, again });
      this.took = performance.now() - begin;
      if (answer && !(this.wanted?.fresh)) this.show(answer, moved, changes);
    }
    this.asking = false;
  }

  /** The program has changed while the old one runs: if that takes long, it is of no interest. */
  #giveUp() {
    const { begun } = this;
    clearTimeout(this.givingUp);
    this.givingUp = setTimeout(() => {
      if (this.runner.busy && this.begun === begun) this.runner.stop("stopped");
    }, Math.max(0, begun + LONG - performance.now()));
  }

  show(answer, moved, changes) {
    document.body.dataset.answers = Number(document.body.dataset.answers ?? 0) + 1;
    at("printed").textContent = answer.printed;
    at("printed").hidden = !answer.printed;
    if (answer.error) {
      this.picture?.set("numbers", JSON.stringify({ changes, error: answer.error }));
      return this.complain(answer.error, answer.line);
    }
    at("message").hidden = true;
    this.editor.mark(null);
    delete document.body.dataset.stale;
    this.wrt = answer.wrt;
    const resting = changes === this.changes;
    if (answer.payload) {
      this.base = moved;
      this.changes = {};
      this.leaves = answer.leaves;
    }
    if (resting || answer.payload) this.sliders.show(answer.leaves, answer.wrt);
    at("given").textContent = answer.given.length ? `${answer.given.join(", ")}: not defined in the program, so ${answer.given.length > 1 ? "they are inputs" : "it is an input"}.` : "";
    at("given").hidden = !answer.given.length;
    at("reset").hidden = !Object.keys(this.moved).length;
    at("wrt").replaceChildren(...answer.leaves.map(({ index, name }) => new Option(name, index)));
    at("wrt").value = answer.wrt;
    at("explanation").textContent = answer.chain;
    if (answer.payload) this.#picture(answer.payload);
    else this.picture.set("numbers", JSON.stringify({ changes, record: answer.numbers }));
    this.#check((answer.payload?.record ?? answer.numbers).checks);
    document.body.dataset.state = "shown";
  }

  #picture(payload) {
    this.end?.();
    const values = { payload: JSON.stringify({ ...payload, live: true }), numbers: "", changes: {} };
    this.picture = new Model(values, (changes) => this.changed(changes));
    this.end = widget.render({ model: this.picture, el: at("viewer") });
    at("viewer").gradientFlow?.goto(Infinity); // all numbers at once; the reader goes back to see them come
  }

  #check(checks) {
    const made = checks?.filter(Boolean) ?? [];
    const agree = made.filter(([, agrees]) => agrees).length;
    at("check").textContent = made.length ? `Finite differences agree at ${agree} of ${made.length} nodes.` : "";
  }

  complain(text, line) {
    at("message").textContent = line ? `Line ${line}: ${text}` : text;
    at("message").hidden = false;
    this.editor.mark(line);
    if (this.picture) document.body.dataset.stale = "";
    document.body.dataset.state = "wrong";
  }

  state(state, text) {
    document.body.dataset.python = state;
    at("stop").hidden = true;
    clearTimeout(this.saying);
    if (state === "running") {
      this.saying = setTimeout(() => {
        at("state").textContent = text;
        at("stop").hidden = false;
      }, 300);
      return;
    }
    at("state").textContent = text;
    if (state === "failed") this.complain(text, null);
  }

  async share() {
    const link = `${location.origin}${location.pathname}${this.hash}`;
    try {
      await navigator.clipboard.writeText(link);
      at("state").textContent = "The link is copied: it carries the program.";
    } catch {
      at("state").textContent = "The address of this page carries the program: copy it from above.";
    }
  }
}

const waiting = Object.assign(document.createElement("div"), { className: "waiting", textContent: "Python is being loaded: some 20 MB the first time, from this site; later from your browser’s cache." });
at("viewer").replaceChildren(waiting);
if (location.protocol === "file:") {
  waiting.textContent = "Browsers do not start Python from a file. Serve the folder of the site: python -m http.server --directory build/site";
} else {
  window.playground = new Playground();
}
