// The equation of a step, beside the arrow or the box that it is about.

import { make } from "./dom.js";
import { freePlace, overlap } from "./geometry.js";

export class Callout {
  constructor() {
    this.element = make("div", { class: "callout", "aria-hidden": "true" });
    this.spot = null;
  }

  hide() {
    this.element.hidden = true;
    this.spot = null;
  }

  /** Take a text and the spot of the picture that it is about; `lift` is how far above the spot it belongs. */
  show(text, kind, spot, lift = 0) {
    this.element.textContent = text;
    this.element.className = `callout ${kind}`;
    this.spot = spot;
    this.lift = lift;
  }

  /** Go where the picture is covered least. */
  move(camera, picture) {
    if (!this.spot || !camera.size) return;
    const { x, y, k } = camera.eye;
    const { width, height } = camera.size;
    const centre = [x + this.spot[0] * k, y + (this.spot[1] - this.lift / Math.min(k, 1)) * k];
    const size = [Math.min(7.4 * this.element.textContent.length + 24, width - 8), 24];
    const taken = picture.texts().map((b) => camera.onScreen(b));
    const best = freePlace(centre, size, [width, height], taken);
    this.element.hidden = best === null; // what it says stands below the picture as well
    if (best) this.element.style.transform = `translate(${best.x.toFixed(1)}px, ${best.y.toFixed(1)}px)`;
    picture.hideMessages((b) => best && overlap(best, camera.onScreen(b)));
  }
}
