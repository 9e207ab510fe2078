// Tables whose heads sort. A column: {title, value(row), text(row), textual, wide, className, button,
// plain(row): no button in this row}.

import { element } from "./format.js";

export function table(columns, rows, { caption, sort, onSort, chosen } = {}) {
  const made = element("table");
  if (caption) made.append(element("caption", caption, { className: "unseen" }));
  const head = made.createTHead().insertRow();
  columns.forEach((column, index) => head.append(headCell(column, index, sort, onSort)));
  const body = made.createTBody();
  for (const row of sorted(columns, rows, sort)) {
    const line = body.insertRow();
    if (chosen && chosen(row)) line.className = "chosen";
    for (const column of columns) line.append(cell(column, row));
  }
  return made;
}

function headCell(column, index, sort, onSort) {
  const head = element("th", onSort ? null : column.title, { scope: "col" });
  mark(head, column);
  if (!onSort) return head;
  const active = sort && sort.index === index;
  if (active) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
  const next = { index, down: active ? !sort.down : !column.textual };
  head.append(element("button", column.title, { type: "button", onclick: () => onSort(next) }));
  return head;
}

function mark(made, column) {
  for (const name of ["wide", "textual"]) if (column[name]) made.classList.add(name);
}

function cell(column, row) {
  const text = column.text ? column.text(row) : column.value(row);
  const button = column.button && !(column.plain && column.plain(row));
  const made = element("td", button ? null : text);
  const name = column.className && column.className(row);
  if (name) made.className = name;
  mark(made, column);
  if (button) {
    const onclick = () => column.button(row);
    const label = column.label ? { "aria-label": column.label(row) } : {};
    made.append(element("button", text, { type: "button", title: text, onclick, ...label }));
  }
  return made;
}

function sorted(columns, rows, sort) {
  if (!sort) return rows;
  const { value } = columns[sort.index];
  const compare = (left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return sort.down ? -order : order;
  };
  return [...rows].sort(compare);
}

// Put a new table in the place of the old one; the focus stays where it was.
export function replace(holder, made) {
  const buttons = [...holder.querySelectorAll("button")];
  const focused = buttons.indexOf(document.activeElement);
  const label = focused >= 0 ? buttons[focused].textContent : null;
  const left = holder.scrollLeft;
  holder.replaceChildren(made);
  holder.scrollLeft = left;
  if (focused < 0) return;
  const fresh = [...holder.querySelectorAll("button")];
  (fresh.find((button) => button.textContent === label) || fresh[focused] || holder).focus();
}
