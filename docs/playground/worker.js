// Runs the engine in a worker, so that a program can be stopped: Pyodide, the engine in pure Python, and Graphviz.

import { Graphviz } from "./graphviz.js";
import { loadPyodide } from "./pyodide/pyodide.mjs";

const here = (path) => new URL(path, import.meta.url).href;

/** Python's memory with the engine imported, as it was when the site was built. */
async function snapshot() {
  const answer = await fetch(here("./snapshot.gz"));
  return new Uint8Array(await new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

async function start() {
  const env = { AUTOGRAD_PURE_PYTHON: "1", HOME: "/home/pyodide" };
  const [python, graphviz, engine] = await Promise.all([
    snapshot().then((memory) => loadPyodide({ indexURL: here("./pyodide/"), env, _loadSnapshot: memory })),
    Graphviz.load(),
    fetch(here("./engine.zip")).then((answer) => answer.arrayBuffer()),
  ]);
  python.unpackArchive(engine, "zip"); // for what is imported later
  const session = python.runPython(`
import sys
sys.setrecursionlimit(400)  # the stack of the browser ends soon after
from autograd.view import use_layout
from session import Session
use_layout
`);
  session((source, format) => graphviz.layout(source, format, "dot"));
  session.destroy();
  const run = python.runPython("Session().run");
  disconnect();
  return run;
}

/** From here on only the program runs: it has no way to the network. */
function disconnect() {
  for (const name of ["fetch", "XMLHttpRequest", "WebSocket", "EventSource", "importScripts", "Request", "indexedDB", "caches"]) {
    try {
      Object.defineProperty(self, name, { value: undefined, configurable: false });
    } catch {
      // not there, or not to be changed in this browser
    }
  }
}

const ready = start();
ready.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ failed: String(error) }),
);

onmessage = async ({ data }) => {
  const run = await ready;
  try {
    postMessage({ id: data.id, answer: run(data.request) });
  } catch (error) {
    // an error of the program is an answer; this is one of the interpreter, which cannot go on
    const what = String(error.message ?? error).trim().split("\n").at(-1);
    postMessage({ id: data.id, broken: `Python broke down and starts again: ${what}` });
  }
};
