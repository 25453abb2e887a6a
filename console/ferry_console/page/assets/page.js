// Puts the page together.

import { Connection } from "./connection.js";
import { Group } from "./group.js";
import { Live } from "./live.js";
import { chooseTheme } from "./theme.js";

// The token has done its work: it is in a cookie now, and must not stay in the address.
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname);

chooseTheme();
const connection = new Connection();
const group = new Group(() => {});
new Live("/events", {
  history: (told) => group.history(told),
  look: (told) => {
    connection.looked();
    group.look(told);
  },
  problem: (told) => connection.failed(told.problem),
});
