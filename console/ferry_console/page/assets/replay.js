// Sends dead letters again: first it is said what would happen, then somebody confirms.

import { byId, fillList, tell } from "./elements.js";

export class Replay {
  constructor(done) {
    this.done = done;
    this.dialog = byId("confirm");
    byId("confirm-cancel").addEventListener("click", () => this.dialog.close());
    byId("confirm-force").addEventListener("change", () => this.tryOut());
    byId("confirm-go").addEventListener("click", () => this.send());
  }

  ask(rows) {
    this.letters = rows.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    byId("confirm-force").checked = false;
    byId("confirm-force").disabled = false;
    tell(byId("confirm-cancel"), "Cancel");
    byId("confirm-go").hidden = false;
    this.dialog.showModal();
    this.tryOut();
  }

  async tryOut() {
    byId("confirm-go").disabled = true;
    tell(byId("confirm-told"), "asking …");
    const answer = await this.posted(true);
    this.show(answer);
    byId("confirm-go").disabled = !answer.replayed;
    tell(byId("confirm-go"), answer.replayed ? `Replay ${answer.replayed}` : "Replay");
  }

  async send() {
    byId("confirm-go").disabled = true;
    byId("confirm-force").disabled = true;
    tell(byId("confirm-told"), "sending …");
    this.show(await this.posted(false));
    byId("confirm-go").hidden = true;
    tell(byId("confirm-cancel"), "Close");
    byId("confirm-cancel").focus();
    this.done();
  }

  show(answer) {
    tell(byId("confirm-told"), answer.error ?? answer.told.join("; "));
    fillList(byId("confirm-warnings"), answer.warnings ?? []);
  }

  async posted(dryRun) {
    const body = JSON.stringify({ letters: this.letters, dry_run: dryRun, force: byId("confirm-force").checked });
    try {
      const answer = await fetch("/dead-letters/replay", { method: "POST", headers: { "content-type": "application/json" }, body });
      return answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : { error: await answer.text() };
    } catch {
      return { error: "ferry console doesn't answer: whether they were sent is told by a new list and by Trace" };
    }
  }
}
