// Start Python once, when the site is built, and keep its memory: the browser starts from there, in a seventh of the time.
// node snapshot.mjs PYODIDE ENGINE OUTPUT

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const [pyodide, engine, output] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(pyodide, "pyodide.mjs")));
const python = await loadPyodide({ _makeSnapshot: true, env: { AUTOGRAD_PURE_PYTHON: "1", HOME: "/home/pyodide" } });
python.unpackArchive(new Uint8Array(readFileSync(engine)), "zip");
python.runPython("import session");
writeFileSync(output, gzipSync(python.makeMemorySnapshot(), { level: 9 }));
