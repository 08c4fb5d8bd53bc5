// Small charts beside the picture: gradients per layer, and the output over a training run.

import { bdi, make } from "./dom.js";
import { layerBars } from "./scales.js";
import { count, number, show } from "./text.js";

export function layerChart(layers) {
  const rows = layerBars(layers).map(({ name, mean, share, verdict }) =>
    make(
      "li",
      { class: verdict.replace(" ", "-") },
      bdi(name, "layer"),
      make("span", { class: "share", "aria-hidden": "true" }, make("i", { style: `width:${(100 * share).toFixed(1)}%` })),
      make("span", { class: "mean", text: show(mean) + (verdict ? ` ${verdict}` : "") }),
    ),
  );
  return make("section", {}, make("h3", { text: "Mean |adjoint| per layer" }), make("ul", { class: "layers" }, ...rows));
}

/** The output over the updates of a training run. */
export function sparkline(history) {
  const values = history.map(number).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((v, i) => {
    const [x, y] = [(i / Math.max(values.length - 1, 1)) * 240, 44 - ((v - low) / (high - low || 1)) * 40];
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  const title = `${count(history.length, "update")}: ${show(number(history[0]))} → ${show(number(history.at(-1)))}`;
  const frame = { viewBox: "0 0 240 48", class: "history", role: "img", "aria-label": title, preserveAspectRatio: "none" };
  const picture = make("svg", frame, make("path", { d: `M${points.join("L")}` }));
  return make("section", {}, make("h3", { text: "The output while training" }), picture, make("p", { text: title }));
}
