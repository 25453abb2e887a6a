// Makes elements. Text goes in as text, never as HTML; what could hide or turn around other text is shown by its code.

const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function safe(value) {
  return String(value).replace(UNSAFE, (found) => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));
}

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().map((child) => (child instanceof Node ? child : safe(child))));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

// Changes nothing that is the same already: screen readers and selections stay where they are.
export function tell(place, text) {
  const told = safe(text);
  if (place.textContent !== told) place.textContent = told;
}

// pairs: [name, text or nothing]; what is nothing isn't told.
export function fillFacts(list, pairs) {
  list.className = "facts";
  const told = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  if (list.children.length !== told.length * 2) {
    list.replaceChildren(...told.flatMap(() => [element("dt"), element("dd")]));
  }
  told.flat().forEach((text, index) => tell(list.children[index], text));
}

export function fillList(list, sentences) {
  if ([...list.children].map((item) => item.textContent).join("\n") !== sentences.map(safe).join("\n")) {
    list.replaceChildren(...sentences.map((sentence) => element("li", {}, sentence)));
  }
  list.hidden = !sentences.length;
}

// Rows are kept by their key, cells by their column, so that focus and selection outlive a look.
// columns: {title, number?, head?, cell(row) -> text or node}; the one with `head`, or the first, heads its row.
export function fillTable(table, columns, rows, key, trouble = () => false, none = "none") {
  if (!table.tHead) {
    const heads = columns.map((column) =>
      element("th", { scope: "col", class: column.number ? "number" : null }, column.title));
    table.append(element("thead", {}, element("tr", {}, heads)), element("tbody"));
  }
  const body = table.tBodies[0];
  const present = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const wanted = rows.map((row) => {
    const name = key(row);
    const line = present.get(name) ?? emptyRow(columns, name);
    line.toggleAttribute("data-trouble", Boolean(trouble(row)));
    columns.forEach((column, index) => fillCell(line.cells[index], column.cell(row)));
    return line;
  });
  const empty = element("tr", {}, element("td", { colspan: columns.length, class: "hint" }, none));
  const lines = wanted.length ? wanted : [empty];
  if (lines.length !== body.rows.length || lines.some((line, index) => line !== body.rows[index])) {
    body.replaceChildren(...lines);
  }
}

function emptyRow(columns, name) {
  const head = Math.max(0, columns.findIndex((column) => column.head));
  const cells = columns.map((column, index) =>
    element(index === head ? "th" : "td", { scope: index === head ? "row" : null, class: column.number ? "number" : null }));
  const line = element("tr", {}, cells);
  line.dataset.key = name;
  return line;
}

function fillCell(cell, content) {
  if (!(content instanceof Node)) tell(cell, content);
  else if (cell.firstChild?.textContent !== content.textContent) cell.replaceChildren(content);
}
