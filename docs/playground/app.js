// The page: it runs the program while it is typed, and shows the graph, the sliders and the chain rule.

import { Editor } from "./editor.js";
import { examples } from "./examples.js";
import { Runner } from "./runner.js";
import { Sliders } from "./sliders.js";
import widget from "./viewer.js";

const PAUSE = 350; // milliseconds without a key before the program runs
const SECONDS = 4; // for a program that runs by itself
const PATIENCE = 60; // for one that was asked for

const at = (id) => document.getElementById(id);

/** What an anywidget is to its JavaScript: named values, and a call when one changes. */
class Model {
  constructor(values) {
    this.values = values;
    this.listeners = new Map();
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
    this.moved = {}; // number of a leaf → its data, in place of what the program says
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
      this.moved = {};
      this.ask({ seconds: SECONDS });
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
    this.moved = {};
    this.hash = `#code=${encodeURIComponent(this.editor.text)}`;
    if (`${location.hash}` !== this.hash) history.replaceState(null, "", this.hash);
    this.ask({ seconds, fresh: true });
  }

  move(leaf, number) {
    this.moved[leaf] = number;
    this.ask({ seconds: SECONDS });
  }

  choose(leaf) {
    this.wrt = leaf;
    this.ask({ seconds: SECONDS });
  }

  /** Run as soon as the worker is free: of several requests the last one counts. */
  async ask(request) {
    this.wanted = { ...request, fresh: request.fresh || this.wanted?.fresh };
    if (this.asking) {
      if (this.wanted.fresh && this.runner.busy && !this.current?.moving) this.runner.stop("stopped"); // the old program is of no interest
      return;
    }
    this.asking = true;
    while (this.wanted) {
      const { seconds, fresh } = this.wanted;
      this.wanted = null;
      this.current = { moving: !fresh };
      const again = !fresh && this.picture !== null;
      const answer = await this.runner.run({ code: this.editor.text, moved: this.moved, wrt: this.wrt, seconds, again });
      if (answer && !(this.wanted?.fresh)) this.show(answer);
    }
    this.asking = false;
  }

  show(answer) {
    document.body.dataset.answers = Number(document.body.dataset.answers ?? 0) + 1;
    at("printed").textContent = answer.printed;
    at("printed").hidden = !answer.printed;
    if (answer.error) return this.complain(answer.error, answer.line);
    at("message").hidden = true;
    this.editor.mark(null);
    delete document.body.dataset.stale;
    this.wrt = answer.wrt;
    this.sliders.show(answer.leaves, answer.wrt);
    at("given").textContent = answer.given.length ? `${answer.given.join(", ")}: not defined in the program, so ${answer.given.length > 1 ? "they are inputs" : "it is an input"}.` : "";
    at("given").hidden = !answer.given.length;
    at("reset").hidden = !Object.keys(this.moved).length;
    at("wrt").replaceChildren(...answer.leaves.map(({ index, name }) => new Option(name, index)));
    at("wrt").value = answer.wrt;
    at("explanation").textContent = answer.chain;
    if (answer.payload) this.#picture(answer.payload);
    else this.picture.set("numbers", JSON.stringify({ record: answer.numbers }));
    this.#check((answer.payload?.record ?? answer.numbers).checks);
    document.body.dataset.state = "shown";
  }

  #picture(payload) {
    if (this.picture) {
      this.picture.set("payload", JSON.stringify(payload));
    } else {
      this.picture = new Model({ payload: JSON.stringify(payload), numbers: "" });
      const el = at("viewer");
      widget.render({ model: this.picture, el });
    }
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

const waiting = Object.assign(document.createElement("div"), { className: "waiting", textContent: "Python is being loaded: some 13 MB the first time, from this site; later from your browser’s cache." });
at("viewer").replaceChildren(waiting);
if (location.protocol === "file:") {
  waiting.textContent = "Browsers do not start Python from a file. Serve the folder of the site: python -m http.server --directory build/site";
} else {
  window.playground = new Playground();
}
