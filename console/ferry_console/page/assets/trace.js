// Follows one message along its way, until its end.

import { byId, element, fillFacts, fillList, safe, tell } from "./elements.js";
import { Live } from "./live.js";

const TOLD = { passed: "passed", now: "here", ahead: "not yet", "left out": "left out" };

export class Trace {
  constructor() {
    this.live = null;
    byId("trace-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.follow(byId("message").value.trim());
    });
    window.addEventListener("hashchange", () => this.followAddress());
    this.followAddress();
  }

  // An address such as #messages-0-42 can be kept and passed on.
  followAddress() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id && id !== this.id) this.follow(id);
  }

  follow(id) {
    this.live?.end();
    this.id = id;
    if (!id) return;
    byId("message").value = id;
    history.replaceState(null, "", `#${encodeURIComponent(id)}`);
    byId("trace").hidden = false;
    for (const place of ["trace-way", "trace-remarks", "trace-facts"]) byId(place).replaceChildren();
    tell(byId("trace-answer"), `${id}: asking …`);
    this.live = new Live(`/trace?id=${encodeURIComponent(id)}`, { trace: (told) => this.show(told) }, () => {}, () => this.lost(id));
  }

  // An id that is none, or too many that are watched, is answered with a sentence instead of a stream.
  async lost(id) {
    if (this.live?.source?.readyState !== EventSource.CLOSED) return;
    const answer = await fetch(`/trace?id=${encodeURIComponent(id)}`).catch(() => null);
    if (answer && !answer.ok && this.id === id) {
      this.live?.end();
      tell(byId("trace-answer"), await answer.text());
    } else {
      await answer?.body?.cancel();
    }
  }

  show(told) {
    if (told.finished) this.live?.end();
    tell(byId("trace-answer"), answer(told));
    showWay(byId("trace-way"), told.way);
    fillList(byId("trace-remarks"), [...told.remarks, ...told.missing]);
    fillFacts(byId("trace-facts"), facts(told));
  }
}

function answer({ task_id: id, told, ahead_in_queue: ahead, entry }) {
  if (ahead !== null && ahead !== undefined) return `${id}: ${told}, ${ahead} before it`;
  return `${id}: ${told}${entry?.error ? ` (${entry.error})` : ""}`;
}

function showWay(list, steps) {
  if (list.children.length !== steps.length) {
    list.replaceChildren(...steps.map(() => element("li", {}, element("b"), element("span"))));
  }
  const sent = steps[0].at;
  steps.forEach((step, index) => {
    const item = list.children[index];
    item.dataset.reached = step.reached;
    item.dataset.name = step.name;
    item.toggleAttribute("aria-current", step.reached === "now");
    if (step.reached === "now") item.setAttribute("aria-current", "step");
    tell(item.firstChild, step.name);
    tell(item.lastChild, `${TOLD[step.reached]}${index === 0 ? when(step.at) : after(step.at, sent)}`);
  });
}

function when(at) {
  return at ? `, sent ${at.slice(11, 23)}` : "";
}

// Different clocks: the sender's and Redis'.
function after(at, sent) {
  if (!at) return "";
  const seconds = (Date.parse(at) - Date.parse(sent)) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? `, ${seconds.toFixed(2)} s after` : `, ${at.slice(11, 23)}`;
}

function facts({ entry, ledger, kafka, dead_letters: letters }) {
  const record = kafka?.record;
  const letter = letters?.at(-1);
  return [
    ["attempt", entry ? `${entry.attempt}, started ${entry.starts} times, queued ${entry.deliveries} times` : null],
    ["retry due", entry?.retry_due],
    ["claim until", entry?.claim_until],
    ["partition", ledger?.position != null ? `position ${ledger.position}, committed ${ledger.committed}` : null],
    ["key", record?.key],
    ["value", record?.value],
    ["headers", record?.headers.map(([name, value]) => `${safe(name)} = ${value === null ? "(none)" : safe(value)}`).join("\n")],
    ["stored", entry?.stored],
    ["dead letter", letter ? `${letter.topic}-${letter.partition}-${letter.offset}` : null],
  ];
}
