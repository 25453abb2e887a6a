// Dead letters: the list, one of them whole, and which are selected to be sent again.

import { byId, element, fillFacts, fillList, fillTable, tell } from "./elements.js";
import { count } from "./format.js";
import { Replay } from "./replay.js";

const SHOWN_CHARACTERS = 300;

export class Letters {
  constructor(trace) {
    this.trace = trace;
    this.rows = [];
    this.selected = new Set();
    this.everything = element("input", { type: "checkbox", "aria-label": "Select all", change: () => this.selectAll() });
    this.replay = new Replay(() => this.list());
    byId("letters-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.list();
    });
    byId("replay").addEventListener("click", () => this.replay.ask(this.rows.filter((row) => this.selected.has(keyOf(row)))));
    byId("letter-close").addEventListener("click", () => byId("letter").close());
    byId("letter-trace").addEventListener("click", () => {
      byId("letter").close();
      this.trace(this.shown.id);
    });
    byId("letter-replay").addEventListener("click", () => {
      byId("letter").close();
      this.replay.ask([this.shown]);
    });
    this.list();
  }

  // How many the ledgers count now: a list that is older says so.
  counted(total) {
    this.total = total;
    this.countedThen ??= total;
    const more = total - this.countedThen;
    if (this.told && more > 0) tell(byId("letters-told"), `${this.told}; ${count(more)} more since: List shows them`);
  }

  async list() {
    const given = [...new FormData(byId("letters-form"))].filter(([, value]) => value.trim());
    tell(byId("letters-told"), "reading …");
    const answer = await asked(`/dead-letters?${new URLSearchParams(given)}`);
    this.countedThen = this.total;
    this.rows = answer.dead_letters ?? [];
    this.told = answer.error ?? heading(answer);
    tell(byId("letters-told"), this.told);
    fillList(byId("letters-warnings"), answer.warnings ?? []);
    const present = new Set(this.rows.map(keyOf));
    this.selected = new Set([...this.selected].filter((key) => present.has(key)));
    this.fill();
  }

  fill() {
    fillTable(byId("letters"), [
      { title: this.everything, cell: (row) => this.box(row) },
      { title: "id", head: true, cell: (row) => element("button", { class: "link", type: "button", click: () => this.show(row) }, row.id) },
      { title: "written", cell: (row) => row.written ?? "-" },
      { title: "reason", cell: (row) => row.reason ?? "-" },
      { title: "error", cell: (row) => shortened(row.error ?? "") },
    ], this.rows, keyOf, () => false, "none");
    this.tellSelected();
  }

  box(row) {
    const key = keyOf(row);
    const change = (event) => {
      this.selected[event.target.checked ? "add" : "delete"](key);
      this.tellSelected();
    };
    return element("input", { type: "checkbox", "aria-label": `Select ${row.id}`, change });
  }

  selectAll() {
    this.selected = new Set(this.everything.checked ? this.rows.map(keyOf) : []);
    this.tellSelected();
  }

  tellSelected() {
    for (const row of byId("letters").tBodies[0].rows) {
      const box = row.querySelector("input");
      if (box) box.checked = this.selected.has(row.dataset.key);
    }
    const number = this.selected.size;
    this.everything.checked = number > 0 && number === this.rows.length;
    this.everything.indeterminate = number > 0 && number < this.rows.length;
    byId("replay").disabled = !number;
    tell(byId("replay"), number ? `Replay ${count(number)} …` : "Replay …");
  }

  async show(row) {
    const answer = await asked(`/dead-letters/${encodeURIComponent(row.topic)}/${row.partition}/${row.offset}`);
    const letter = answer.dead_letters?.[0];
    this.shown = letter ?? row;
    tell(byId("letter-heading"), row.id);
    fillFacts(byId("letter-facts"), letter ? facts(letter) : [["error", answer.error]]);
    tell(byId("letter-value"), letter ? (letter.value ?? "(none)") : "");
    byId("letter-trace").hidden = !this.shown.task_id;
    byId("letter").showModal();
  }
}

async function asked(address) {
  try {
    const answer = await fetch(address);
    return answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : { error: await answer.text() };
  } catch {
    return { error: "ferry console doesn't answer" };
  }
}

function keyOf(row) {
  return `${row.topic}/${row.partition}/${row.offset}`;
}

function heading({ dead_letters: rows, more, topics }) {
  const of = topics.length ? ` of ${topics.join(", ")}` : "";
  if (!rows.length) return `no dead letters${of} that are asked for`;
  return more ? `the ${count(rows.length)} newest${of}; there are more` : `${count(rows.length)} dead letter${rows.length === 1 ? "" : "s"}${of}, newest first`;
}

function shortened(text) {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function facts(letter) {
  const { topic, partition, offset, timestamp } = letter.origin;
  const place = [topic, partition, offset].filter((part) => part !== null).join("-");
  return [
    ["reason", letter.reason],
    ["error", letter.error],
    ["written", `${letter.written ?? "at no known time"}, as ${letter.topic}-${letter.partition}-${letter.offset}`],
    ["origin", timestamp ? `${place}, sent ${timestamp}` : place],
    ["group", letter.group],
    ["queued", letter.deliveries === null ? null : `${letter.deliveries} times`],
    ["note", letter.notes.join("; ")],
    ["key", letter.key],
    ["headers", letter.headers.map(([name, value]) => `${name} = ${value ?? "(none)"}`).join("\n")],
  ];
}
