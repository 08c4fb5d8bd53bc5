// Going through the steps: buttons, slider, speed and playing.

import { button, icon, make } from "./dom.js";

const SPEEDS = [1, 2, 5, 15, 60]; // steps a second
const SLOW = 5; // steps a second up to which moves are animated

export class Playback {
  /** `goto(step, animate)` goes to a step, `step()` is where the viewer is, `last()` the last one. */
  constructor({ goto, step, last }) {
    Object.assign(this, { goto, step, last });
    this.playing = false;
    this.index = 1;
    this.slider = make("input", {
      type: "range",
      min: 0,
      value: 0,
      class: "slider",
      "aria-label": "Step",
      oninput: () => goto(Number(this.slider.value)),
    });
    this.phases = make("div", { class: "phases", "aria-hidden": "true" });
    this.playButton = button("play", "Play", () => this.toggle());
    this.counter = make("span", { class: "counter" });
    this.speedButton = make("button", { type: "button", class: "button speed", onclick: () => this.#faster() });
    this.#labelSpeed();
    this.element = make(
      "div",
      { class: "transport", role: "group", "aria-label": "Steps" },
      button("first", "To the start", () => goto(0)),
      button("back", "One step back", () => goto(step() - 1)),
      this.playButton,
      button("forward", "One step forward", () => goto(step() + 1, true)),
      button("last", "To the end", () => goto(Infinity)),
      make("div", { class: "track" }, this.phases, this.slider),
      this.counter,
      this.speedButton,
    );
  }

  /** Steps a second. */
  get speed() {
    return SPEEDS[this.index];
  }

  /** Whether there is time to see moves between two steps. */
  get slow() {
    return this.speed <= SLOW;
  }

  /** The range of a view: its last step, and the step at which the reverse sweep starts. */
  setRange(last, seed) {
    this.slider.max = last;
    this.phases.style.setProperty("--seed", last ? seed / last : 0);
  }

  show() {
    const [step, last] = [this.step(), this.last()];
    this.slider.value = step;
    this.slider.setAttribute("aria-valuetext", `${step} of ${last}`);
    this.counter.textContent = `${step.toLocaleString("en")} / ${last.toLocaleString("en")}`;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.pause();
    if (this.step() >= this.last()) this.goto(0);
    this.playing = true;
    this.#labelPlay();
    let next = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      if (now >= next) {
        const steps = 1 + Math.floor(((now - next) * this.speed) / 1000);
        next = Math.max(next + (steps * 1000) / this.speed, now - 100);
        this.goto(this.step() + Math.min(steps, 4), true);
        if (this.step() >= this.last()) return this.pause();
      }
      this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.#labelPlay();
  }

  #labelPlay() {
    const [name, label] = this.playing ? ["pause", "Pause"] : ["play", "Play"];
    this.playButton.replaceChildren(icon(name));
    this.playButton.setAttribute("aria-label", label);
    this.playButton.title = label;
  }

  #faster() {
    this.index = (this.index + 1) % SPEEDS.length;
    this.#labelSpeed();
    if (this.playing) this.play();
  }

  #labelSpeed() {
    this.speedButton.textContent = `${this.speed}/s`;
    this.speedButton.title = `${this.speed} steps a second`;
    this.speedButton.setAttribute("aria-label", `Speed: ${this.speedButton.title}`);
  }
}
