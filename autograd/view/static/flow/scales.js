// How numbers look: signs as colours, magnitudes as thickness and as bars.

/** The thickness of an arrow: over six powers of ten below the largest message. */
export function thickness(message, largest) {
  if (!Number.isFinite(message)) return 5;
  if (message === 0 || largest === 0) return 1;
  return 1.25 + 3.75 * Math.max(0, 1 + Math.log10(Math.abs(message) / largest) / 6) ** 2;
}

/** "positive", "negative", "zero" or "bad" */
export function sign(x) {
  if (!Number.isFinite(x)) return "bad";
  return x > 0 ? "positive" : x < 0 ? "negative" : "zero";
}

/** Bars for magnitudes on a logarithmic scale, with what is wrong about a layer in a word. */
export function layerBars(layers) {
  const logs = layers.map((l) => (l.mean > 0 && Number.isFinite(l.mean) ? Math.log10(l.mean) : null));
  const known = logs.filter((l) => l !== null);
  const [low, high] = [Math.min(...known, 0) - 0.5, Math.max(...known, Math.min(...known, 0) + 1)];
  const last = logs.at(-1);
  return layers.map((layer, i) => ({
    ...layer,
    share: logs[i] === null ? (layer.mean === 0 ? 0 : 1) : (logs[i] - low) / (high - low),
    verdict: !Number.isFinite(layer.mean)
      ? "not finite"
      : layer.mean === 0
        ? "dead"
        : last !== null && logs[i] - last < -2
          ? "vanishing"
          : last !== null && logs[i] - last > 2
            ? "exploding"
            : "",
  }));
}
