// A worker that can be stopped: if a program does not answer in time, the worker ends, and another one starts.

// A worker made from a blob obeys the page's Content-Security-Policy: it reaches nothing but this site.
const SOURCE = URL.createObjectURL(
  new Blob([`import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`], { type: "text/javascript" }),
);

const DRAWING = 10; // seconds beyond those of the program, for layout and finite differences

export class Runner {
  /** `onState` is told "loading", "idle", "running" or "failed", with a text. */
  constructor(onState) {
    this.onState = onState;
    this.#start();
  }

  #start() {
    this.worker = new Worker(SOURCE, { type: "module" });
    this.waiting = null;
    this.isReady = false;
    this.onState("loading", "Starting Python …");
    this.ready = new Promise((resolve) => {
      this.worker.onmessage = ({ data }) => {
        if (data.failed) return this.onState("failed", `Python did not start: ${data.failed}`);
        if (data.ready) {
          this.isReady = true;
          this.onState("idle", "");
          return resolve();
        }
        this.#answered(data);
      };
    });
    this.worker.onerror = (event) => this.onState("failed", `Python did not start: ${event.message ?? "the worker could not be loaded"}`);
  }

  #answered({ id, answer, broken }) {
    if (this.waiting?.id !== id) return;
    if (broken) return this.stop(broken);
    clearTimeout(this.waiting.timer);
    const { resolve } = this.waiting;
    this.waiting = null;
    this.onState("idle", "");
    resolve(JSON.parse(answer));
  }

  get busy() {
    return this.waiting !== null;
  }

  /** Run a request; the answer is null if it was stopped. A program that hangs in C or recursion is stopped from outside. */
  async run(request) {
    const { worker } = this;
    await this.ready;
    if (worker !== this.worker) return null;
    return new Promise((resolve) => {
      const id = Math.random();
      const timer = setTimeout(() => this.stop(`stopped: no answer after ${request.seconds + DRAWING} s. The program does not end, or this machine is busy`), (request.seconds + DRAWING) * 1000);
      this.waiting = { id, timer, resolve };
      this.onState("running", "Running …");
      worker.postMessage({ id, request: JSON.stringify(request) });
    });
  }

  /** End the worker with the program in it. */
  stop(reason = "stopped") {
    const stopped = this.waiting;
    this.worker.terminate();
    if (stopped) clearTimeout(stopped.timer);
    this.#start();
    stopped?.resolve({ error: reason, line: null, printed: "" });
  }
}
