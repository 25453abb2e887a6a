// A stream of the server's that comes back by itself, and is closed while nobody looks at the page.

const AGAIN_MS = 2_000;

export class Live {
  // handlers: by event name, each given the event's document; heard() at each sign of life, lost() when it breaks.
  constructor(address, handlers, heard = () => {}, lost = () => {}) {
    this.address = address;
    this.handlers = handlers;
    this.heard = heard;
    this.lost = lost;
    this.onVisibility = () => (document.hidden ? this.close() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    if (!document.hidden) this.open();
  }

  open() {
    clearTimeout(this.timer);
    if (this.source && this.source.readyState !== EventSource.CLOSED) return;
    this.source = new EventSource(this.address);
    for (const [name, handle] of Object.entries(this.handlers)) {
      this.source.addEventListener(name, (event) => {
        this.heard();
        handle(JSON.parse(event.data));
      });
    }
    this.source.onerror = () => {
      this.lost();
      // The browser tries again by itself after a break, but not after an answer that is no stream.
      if (this.source?.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.open(), AGAIN_MS);
    };
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  end() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.close();
  }
}
