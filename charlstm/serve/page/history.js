// The undo tree as one sees and walks it: a dot for each step, a new lane for each other way.

import { el, rove, svg } from "./dom.js";
import { lineAt, sharedEnd, sharedStart, shortened } from "./text.js";
import { laidOut } from "./tree.js";
import { t } from "./strings.js";

const ROW = 28;
const LANE = 12;
const LEFT = 10;
const MOST_LANES = 8;
// The drawing's units of one rem.
const REM = 16;

/**
 * Make the view of a tree.
 * @param {(id: number) => void} onGo
 * @returns {{element: HTMLElement, show: (tree: import("./tree.js").Tree) => void}}
 */
export function historyView(onGo) {
  const drawing = svg("svg", { class: "lanes", "aria-hidden": "true" });
  const list = el("ol", { class: "steps", role: "listbox", "aria-label": t("history") });
  const element = el("div", { class: "history" }, drawing, list);
  rove(list, "[role=option]", (item) => onGo(Number(item.dataset.step)));
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) onGo(Number(item.dataset.step));
  });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onGo(Number(event.target.dataset.step));
  });
  const show = (tree) => {
    const places = laidOut(tree);
    const lanes = Math.min(MOST_LANES, Math.max(...places.map((place) => place.lane)) + 1);
    const indent = LEFT + lanes * LANE + 4;
    const way = wayTo(tree);
    const had = list.contains(document.activeElement);
    list.replaceChildren(...places.map((place) => itemOf(tree, place, indent)));
    drawLanes(drawing, places, way, tree.current);
    // In the size of the page's letters, as the rows are.
    drawing.setAttribute("width", `${indent / REM}rem`);
    drawing.setAttribute("height", `${(places.length * ROW) / REM}rem`);
    drawing.setAttribute("viewBox", `0 0 ${indent} ${places.length * ROW}`);
    const now = list.querySelector("[aria-selected=true]");
    if (had) now?.focus();
    // The list alone is moved, not the page.
    const top = now.offsetTop;
    const end = top + now.offsetHeight;
    if (top < element.scrollTop || end > element.scrollTop + element.clientHeight) {
      element.scrollTop = top - element.clientHeight / 2;
    }
  };
  return { element, show };
}

function wayTo(tree) {
  const way = new Set();
  for (let at = tree.steps.get(tree.current); at; at = tree.steps.get(at.parent)) way.add(at.id);
  return way;
}

function itemOf(tree, { step }, indent) {
  const now = step.id === tree.current;
  const what = whatChanged(tree, step);
  const item = el(
    "li",
    {
      role: "option",
      "aria-selected": String(now),
      tabindex: now ? 0 : -1,
      "data-step": step.id,
      "aria-label": t("step-says", { how: t(`how-${step.how}`), what: what || t("nothing") }),
    },
    el("span", { class: "how" }, t(`how-${step.how}`)),
    el("span", { class: "what", dir: "auto" }, what),
  );
  item.style.paddingInlineStart = `${indent / REM}rem`;
  return item;
}

const known = new WeakMap(); // of steps, which are many and hardly ever change

function whatChanged(tree, step) {
  const before = tree.steps.get(step.parent)?.text ?? "";
  const told = known.get(step);
  if (told && told.before === before && told.text === step.text) return told.what;
  const what = changedLine(before, step);
  known.set(step, { before, text: step.text, what });
  return what;
}

// The line in which a step differs from the one before it.
function changedLine(before, step) {
  const start = sharedStart(before, step.text);
  const end = step.text.length - sharedEnd(before, step.text, start);
  const changed = step.text.slice(start, end).trim();
  const line = lineAt(
    step.text,
    changed ? start + step.text.slice(start, end).search(/\S/) : start,
  );
  return shortened(line.text.trim(), 24);
}

function drawLanes(drawing, places, way, current) {
  const x = (lane) => LEFT + Math.min(lane, MOST_LANES - 1) * LANE;
  const y = (row) => row * ROW + ROW / 2;
  const lines = [];
  const dots = [];
  for (const { step, row, lane, from } of places) {
    const kind = way.has(step.id) ? "way" : "";
    if (from) {
      const bend =
        from.lane === lane ? `V${y(row)}` : bent(x(from.lane), x(lane), y(from.row), y(row));
      lines.push(svg("path", { d: `M${x(from.lane)} ${y(from.row)}${bend}`, class: kind }));
    }
    const now = step.id === current;
    dots.push(
      svg("circle", { cx: x(lane), cy: y(row), r: now ? 5 : 3, class: now ? "now" : kind }),
    );
  }
  // The way that was taken is drawn above the others.
  lines.sort((one, other) => one.classList.length - other.classList.length);
  drawing.replaceChildren(...lines, ...dots);
}

// From a step to one in another lane: aside within a row, and then straight down.
function bent(fromX, toX, fromY, toY) {
  const [bend, steep, end] = [fromY + ROW / 2, fromY + ROW / 3, fromY + ROW];
  return `C${fromX} ${bend} ${toX} ${steep} ${toX} ${end} V${toY}`;
}
