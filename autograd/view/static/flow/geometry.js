// Rectangles and curves: where there is room, and what covers what.

export const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** The area that two rectangles share. */
export function overlap(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return w > 0 && h > 0 ? w * h : 0;
}

/** Where a rectangle lies nearest to a point without covering any of the others; null if there is no room. */
export function freePlace([cx, cy], [w, h], [width, height], taken) {
  const near = taken.filter((b) => b.x < width && b.x + b.w > 0 && b.y < height && b.y + b.h > 0);
  let best = null;
  for (let y = 4; y + h <= height - 4; y += 6) {
    for (let x = 4; x + w <= width - 4; x += 12) {
      const distance = Math.hypot(x + w / 2 - cx, 1.5 * (y + h / 2 - cy));
      if (best && distance >= best.distance) continue;
      const covered = near.some((b) => x < b.x + b.w + 3 && x + w > b.x - 3 && y < b.y + b.h + 2 && y + h > b.y - 5);
      if (!covered) best = { x, y, w, h, distance };
    }
  }
  return best;
}

/** The smallest rectangle around some. */
export function union(parts) {
  const [x, y] = [Math.min(...parts.map((p) => p.x)), Math.min(...parts.map((p) => p.y))];
  return { x, y, w: Math.max(...parts.map((p) => p.x + p.w)) - x, h: Math.max(...parts.map((p) => p.y + p.h)) - y };
}

/** The point in the middle of a chain of cubic Bézier curves. */
export function middle(points) {
  const pieces = (points.length - 2) / 6;
  const at = 6 * Math.floor((pieces - 1) / 2);
  if (pieces % 2 === 0) return points.slice(at + 6, at + 8);
  const weights = [1 / 8, 3 / 8, 3 / 8, 1 / 8];
  return [0, 1].map((c) => weights.reduce((sum, w, i) => sum + w * points[at + 2 * i + c], 0));
}
