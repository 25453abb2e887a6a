// A stream of the server's that comes back by itself, and is closed while nobody looks at the page.

const AGAIN_MS = 2_000;

export class Live {
  // handlers: by event name, each given the event's document; refused(text): the server answers, but not with a stream.
  constructor(address, handlers, refused) {
    this.address = address;
    this.handlers = handlers;
    this.refused = refused;
    this.onVisibility = () => (document.hidden ? this.close() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    if (!document.hidden) this.open();
  }

  open() {
    clearTimeout(this.timer);
    if (this.source && this.source.readyState !== EventSource.CLOSED) return;
    this.source = new EventSource(this.address);
    for (const [name, handle] of Object.entries(this.handlers)) {
      this.source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
    // The browser tries again by itself after a break, but not after an answer that is no stream.
    this.source.onerror = () => {
      if (this.source?.readyState === EventSource.CLOSED) this.askWhy(this.source);
    };
  }

  async askWhy(source) {
    const stop = new AbortController();
    try {
      const answer = await fetch(this.address, { signal: stop.signal });
      const text = answer.ok ? null : await answer.text();
      stop.abort();
      if (text !== null && this.source === source) this.refused(text.trim());
    } catch {
      // It is away: that is told by its silence.
    }
    if (this.source === source) this.timer = setTimeout(() => this.open(), AGAIN_MS);
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
