"use strict";
// Search, and sort by a column. Without this the rows stand there by urgency.
const table = document.querySelector("table");
const tools = document.querySelector(".find");
const groups = [...table.tBodies];
const homes = groups.map((group) => [...group.rows].slice(1));
const together = table.createTBody();
const search = tools.querySelector("input");
const choice = tools.querySelector("select");
const count = tools.querySelector("output");
const texts = new Map(homes.flat().map((row) => [row, row.textContent.toLowerCase()]));
const headings = [...table.querySelectorAll("th[data-sort]")];

function filter() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/);
  let shown = 0;
  homes.forEach((rows, index) => {
    const chosen = choice.value === "" || choice.value === String(index);
    let any = false;
    for (const row of rows) {
      row.hidden = !(chosen && wanted.every((word) => texts.get(row).includes(word)));
      any ||= !row.hidden;
      shown += row.hidden ? 0 : 1;
    }
    groups[index].rows[0].hidden = !any;
  });
  count.textContent = count.dataset.label.replace("#", shown);
}

function sort(heading, direction) {
  for (const other of headings) other.removeAttribute("aria-sort");
  if (direction === "") {
    groups.forEach((group, index) => group.append(...homes[index]));
    groups.forEach((group) => (group.hidden = false));
    return;
  }
  heading.setAttribute("aria-sort", direction);
  const column = heading.cellIndex;
  const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = heading.dataset.sort === "number"
    ? (a, b) => value(a) - value(b)
    : (a, b) => value(a).localeCompare(value(b), document.documentElement.lang, { numeric: true });
  const sign = direction === "ascending" ? 1 : -1;
  together.append(...homes.flat().sort((a, b) => sign * compare(a, b)));
  groups.forEach((group) => (group.hidden = true));
}

for (const heading of headings) {
  const orders = heading.dataset.sort === "number" ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const now = orders.indexOf(heading.getAttribute("aria-sort") ?? "");
    sort(heading, orders[(now + 1) % 3]);
  });
}
search.addEventListener("input", filter);
choice.addEventListener("change", filter);
tools.hidden = false;
filter();
