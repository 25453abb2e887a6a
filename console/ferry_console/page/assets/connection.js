// Tells whether what is shown is live, and since when it isn't.

import { byId, tell } from "./elements.js";
import { age } from "./format.js";

const STALE_AFTER_MS = 5_000;

export class Connection {
  constructor() {
    this.place = byId("connection");
    this.lastLook = null;
    this.since = performance.now();
    this.problem = null;
    setInterval(() => this.show(), 500);
  }

  looked() {
    this.lastLook = performance.now();
    this.problem = null;
    this.show();
  }

  failed(problem) {
    this.problem = problem;
    this.show();
  }

  show() {
    const silentMs = performance.now() - (this.lastLook ?? this.since);
    const state = this.problem || silentMs > STALE_AFTER_MS ? "stale" : this.lastLook === null ? "waiting" : "live";
    this.place.dataset.state = state;
    document.body.classList.toggle("stale", state === "stale");
    if (state === "live") tell(this.place, "live");
    if (state === "stale") tell(this.place, `stale${this.how(silentMs)}: ${this.problem ?? "ferry console doesn't answer"}; trying again`);
  }

  // In steps, so that a screen reader isn't told every second.
  how(silentMs) {
    if (this.lastLook === null) return "";
    const seconds = silentMs / 1000;
    const step = seconds < 60 ? 10 : 60;
    return seconds < step ? "" : ` for ${age(Math.floor(seconds / step) * step).replace(".0", "")}`;
  }
}
