// Puts the page together.

import { Connection } from "./connection.js";
import { byId } from "./elements.js";
import { Group } from "./group.js";
import { Letters } from "./letters.js";
import { Live } from "./live.js";
import { chooseTheme } from "./theme.js";
import { Trace } from "./trace.js";

// The token has done its work: it is in a cookie now, and must not stay in the address.
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname + location.hash);

chooseTheme();
const connection = new Connection();
const trace = new Trace();
const follow = (id) => {
  trace.follow(id);
  byId("message").focus();
};
const group = new Group(follow);
const letters = new Letters(follow);
new Live("/events", {
  history: (told) => group.history(told),
  look: (told) => {
    connection.looked();
    group.look(told);
    letters.counted(told.status.totals.dead_letters);
  },
  problem: (told) => connection.failed(told.problem),
});
