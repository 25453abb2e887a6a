// What the page shows of the whole group: totals, warnings, charts, partitions, the oldest, failures.

import { Chart } from "./chart.js";
import { byId, element, fillList, fillTable, tell } from "./elements.js";
import { age, count, rate } from "./format.js";

const MOST_SAMPLES = 600;

export class Group {
  constructor(trace) {
    this.samples = [];
    this.rate = new Chart(byId("rate-chart"), (sample) => sample.done_per_second, (value) => `${rate(value)} a second`);
    this.backlog = new Chart(byId("backlog-chart"), (sample) => sample.backlog, (value) => count(Math.round(value)));
    this.traced = (id) => (id ? element("button", { class: "link", type: "button", click: () => trace(id) }, id) : "-");
    window.addEventListener("resize", () => this.draw());
  }

  history({ samples }) {
    this.samples = samples;
    this.draw();
  }

  look({ status, sample, oldest, failures, partitions_left_out: leftOut }) {
    this.samples = [...this.samples.filter((one) => one.at_ms < sample.at_ms), sample].slice(-MOST_SAMPLES);
    tell(byId("group"), status.group);
    tell(byId("at"), `Last look at ${status.at}.`);
    this.totals(status, sample);
    fillList(byId("warnings"), status.warnings);
    this.partitions(status.partitions, leftOut);
    this.oldest(oldest.entries);
    this.failures(failures);
    this.draw();
  }

  draw() {
    this.rate.draw(this.samples);
    this.backlog.draw(this.samples);
  }

  totals({ totals, consumers }, sample) {
    const told = {
      "done a second": rate(sample.done_per_second),
      backlog: count(totals.backlog),
      "in flight": count(totals.in_flight),
      oldest: age(totals.oldest_seconds),
      "dead letters": count(totals.dead_letters),
      consumers: count(consumers),
    };
    const list = byId("totals");
    if (!list.children.length) {
      list.append(...Object.keys(told).map((name) => element("div", {}, element("dt", {}, name), element("dd"))));
    }
    Object.values(told).forEach((text, index) => tell(list.children[index].lastChild, text));
  }

  partitions(rows, leftOut) {
    fillTable(byId("partitions"), [
      { title: "topic", cell: (row) => row.topic },
      { title: "partition", number: true, cell: (row) => row.partition },
      { title: "log end", number: true, cell: (row) => count(row.log_end) },
      { title: "committed", number: true, cell: (row) => count(row.committed) },
      { title: "position", number: true, cell: (row) => count(row.position) },
      { title: "in flight", number: true, cell: (row) => count(row.in_flight) },
      { title: "oldest", number: true, cell: (row) => age(row.oldest_seconds) },
      { title: "backlog", number: true, cell: (row) => (row.log_end === null || row.silent ? ">= " : "") + count(row.backlog) },
      { title: "dead letters", number: true, cell: (row) => count(row.dead_letters) },
      { title: "state", cell: partitionState },
      { title: "consumer", cell: (row) => row.consumer ?? "-" },
    ], rows, (row) => `${row.topic}:${row.partition}`, (row) => partitionState(row) !== "at work", "no partitions");
    const caption = byId("partitions").createCaption();
    tell(caption, leftOut ? `and ${count(leftOut)} more, less busy ones` : "");
    caption.hidden = !leftOut;
  }

  oldest(rows) {
    fillTable(byId("oldest"), [
      { title: "task", cell: (row) => this.traced(row.task_id) },
      { title: "state", cell: (row) => row.state },
      { title: "age", number: true, cell: (row) => age(row.age_seconds) },
      { title: "attempt", number: true, cell: (row) => count(row.attempt) },
      { title: "starts", number: true, cell: (row) => count(row.starts) },
      { title: "error", cell: (row) => row.error ?? "" },
    ], rows, (row) => row.task_id, () => false, "nothing is in flight");
  }

  failures(rows) {
    fillTable(byId("failures"), [
      { title: "task", cell: (row) => row.task ?? "not known here" },
      { title: "topic", cell: (row) => row.topic },
      { title: "dead letters", number: true, cell: (row) => count(row.dead_letters) },
      { title: "untracked", number: true, cell: (row) => count(row.untracked) },
    ], rows, (row) => row.topic, (row) => row.untracked > 0, "no topics");
  }
}

function partitionState(row) {
  if (row.paused) return `paused: ${row.paused.reason}`;
  if (row.silent) return "silent";
  return row.ledger === "sound" ? "at work" : `ledger ${row.ledger}`;
}
