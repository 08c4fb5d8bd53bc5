// Which part of the picture is in sight: its place and scale on the stage, moved by pointers, the wheel and buttons.

import { wantsStillness } from "./dom.js";
import { clamp } from "./geometry.js";

/** Pixels that stay free around what is brought into sight. */
const edge = (width) => Math.min(36, width / 20);

export class Camera {
  /** `onMove` is called after each move; the wheel alone zooms if `wheelZooms`, else only with the control key. At the
   * start everything is in sight, down to the scale `smallest`; what would be smaller is shown in the scale `readable`. */
  constructor(svg, layer, { onMove, wheelZooms, smallest = 0.3, readable = 0.7 }) {
    Object.assign(this, { smallest, readable });
    this.svg = svg;
    this.layer = layer;
    this.onMove = onMove;
    this.size = null; // of the stage, once it is known
    this.content = [0, 0]; // width and height of the whole picture
    this.eye = { x: 0, y: 0, k: 1 };
    this.moved = false; // the reader chose what is in sight: it stays when the stage changes its size
    this.dragged = false;
    this.#listenToPointers();
    this.#listenToWheel(wheelZooms);
  }

  /** A rectangle of the picture, in pixels of the stage. */
  onScreen({ x, y, w, h }) {
    const { x: left, y: top, k } = this.eye;
    return { x: left + x * k, y: top + y * k, w: w * k, h: h * k };
  }

  /** Everything in sight. If boxes could not be read then, and `all` is false: a spot, by default the end of it, in a
   * readable size. Whether everything is in sight. */
  fit(all, spot = null) {
    if (!this.size) return true;
    const { width, height } = this.size;
    const [w, h] = this.content;
    const pad = edge(width);
    const whole = Math.min((width - 2 * pad) / w, (height - 2 * pad - 24) / h, 1.35);
    const k = all || whole >= this.smallest ? whole : Math.max(whole, this.readable);
    this.moved = all;
    const place = (room, size, at) => (size * k <= room - 2 * pad ? (room - size * k) / 2 : clamp(room / 2 - at * k, room - pad - size * k, pad));
    const [x, y] = spot ?? [w, h / 2];
    this.aim({ k, x: place(width, w, x), y: place(height, h, y) });
    return k === whole;
  }

  aim(eye, smooth = false) {
    this.eye = eye;
    this.layer.style.transition = smooth && !wantsStillness() ? "transform 180ms ease-out" : "";
    this.layer.style.transform = `translate(${eye.x}px, ${eye.y}px) scale(${eye.k})`;
    this.onMove();
  }

  /** A part of the picture, if it is small enough to be in sight as a whole; else null. */
  fitting(part) {
    if (!this.size) return part;
    return part.w * this.eye.k < this.size.width - 80 && part.h * this.eye.k < this.size.height - 80 ? part : null;
  }

  /** Bring a part of the picture into sight, if it is not. */
  look(part, { readable = false, smooth = false } = {}) {
    if (!this.size) return;
    const { width, height } = this.size;
    const k = readable ? Math.max(this.eye.k, 0.8) : this.eye.k;
    const centred = { x: width / 2 - (part.x + part.w / 2) * k, y: height / 2 - (part.y + part.h / 2) * k };
    const { x, y } = k === this.eye.k ? this.eye : centred;
    const pad = edge(width) - 1; // what `fit` has brought into sight is in sight
    const dx = shift(x + part.x * k, part.w * k, width, pad);
    const dy = shift(y + part.y * k, part.h * k, height, pad);
    if (dx || dy || k !== this.eye.k) this.aim({ x: x + dx, y: y + dy, k }, smooth);
  }

  zoom(factor, [px, py] = [this.size.width / 2, this.size.height / 2]) {
    const k = clamp(this.eye.k * factor, 0.02, 4);
    const scale = k / this.eye.k;
    this.moved = true;
    this.aim({ k, x: px - (px - this.eye.x) * scale, y: py - (py - this.eye.y) * scale });
  }

  #at(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  /** One pointer drags the picture, two zoom it. */
  #listenToPointers() {
    const pointers = new Map();
    this.svg.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, this.#at(event));
      this.dragged = false;
    });
    this.svg.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = this.#at(event);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (!this.dragged && Math.hypot(dx, dy) < 4) return;
      this.dragged = this.moved = true;
      this.svg.setPointerCapture(event.pointerId);
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      pointers.set(event.pointerId, now);
      if (!others.length) return this.aim({ ...this.eye, x: this.eye.x + dx, y: this.eye.y + dy });
      const apart = (p) => Math.hypot(p[0] - others[0][0], p[1] - others[0][1]) || 1;
      this.zoom(apart(now) / apart(before), others[0]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.svg.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
  }

  #listenToWheel(alone) {
    const wheel = (event) => {
      if (!(event.ctrlKey || event.metaKey || alone)) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.#at(event));
    };
    this.svg.addEventListener("wheel", wheel, { passive: false });
  }
}

/** How far to move, along one axis, what begins at `at`: not at all if it is in sight, else to where it is well seen. */
function shift(at, size, room, pad) {
  if (at >= pad && at + size <= room - pad) return 0;
  if (size > room - 2 * pad) return (room - size) / 2 - at;
  if (at >= pad) return Math.max(room * 0.4 - size / 2 - at, pad - at);
  const by = room * 0.6 - size / 2 - at;
  return by > 0 ? Math.min(by, room - pad - size - at) : pad - at;
}
