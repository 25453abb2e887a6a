// Light or dark: as the system, or as chosen here; the choice stays in this browser.

import { byId } from "./elements.js";

const KEY = "ferry-theme";

export function chooseTheme() {
  const select = byId("theme");
  select.value = ["light", "dark"].find((name) => name === localStorage.getItem(KEY)) ?? "";
  const apply = () => {
    if (select.value) document.documentElement.dataset.theme = select.value;
    else delete document.documentElement.dataset.theme;
  };
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    apply();
  });
  apply();
}
