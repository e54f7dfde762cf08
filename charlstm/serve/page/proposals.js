// The lines that the model proposes: how likely each is, what of it is copied, what it rhymes with.

import { button, el, reach, rove } from "./dom.js";
import { shownPercent } from "./figures.js";
import { countLetters, letters, saysSomething, unitsOfPoints } from "./text.js";
import { t } from "./strings.js";

const ITEM = ".proposal";
const KEYS = 9;

/**
 * Make the panel of proposals.
 * @param {{onTake: (line: string) => void, onOther: () => void, onMore: () => void,
 *   onMode: (mode: string) => void, onBack: () => void}} on
 */
export function proposalsPanel(on) {
  const title = el("h2", { id: "proposals-title" }, t("proposals"));
  const modes = modeChoice(on.onMode);
  const list = el("ol", { class: "proposals", "aria-labelledby": "proposals-title" });
  const note = el("p", { class: "note", id: "proposals-note", role: "status" });
  const other = button(t("other"), on.onOther, { class: "act", "aria-keyshortcuts": "Alt+0" });
  other.append(el("kbd", { "aria-hidden": "true" }, "0"));
  const more = button(t("more"), on.onMore, { class: "act" });
  const element = el(
    "section",
    { class: "panel proposing", "aria-labelledby": "proposals-title" },
    el("div", { class: "panel-head" }, title, modes.element),
    list,
    note,
    el("div", { class: "acts" }, other, more),
    el("p", { class: "soft keys" }, t("proposal-keys")),
  );
  let shown = [];
  modes.show("next");
  rove(list, ITEM);
  list.addEventListener("click", (event) => {
    const item = event.target.closest(ITEM);
    if (item) on.onTake(shown[Number(item.dataset.place)].line);
  });
  element.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("input, textarea, select")) return;
    if (/^[1-9]$/.test(event.key) && shown[event.key - 1]) on.onTake(shown[event.key - 1].line);
    else if (event.key === "0") on.onOther();
    else if (event.key === "Escape") on.onBack();
    else return;
    event.preventDefault();
  });
  return {
    element,
    /** @param {number} number from 1 @returns {boolean} whether there is such a line */
    take(number) {
      if (!shown[number - 1]) return false;
      on.onTake(shown[number - 1].line);
      return true;
    },
    get lines() {
      return shown.map(({ line }) => line);
    },
    /** Say what is proposed for. */
    about(line, mode) {
      title.textContent = titleOf(line, mode);
      modes.show(mode);
    },
    waiting(is) {
      list.setAttribute("aria-busy", String(is));
      element.classList.toggle("waiting", is);
    },
    show(proposals, sentence) {
      const had = list.contains(document.activeElement);
      shown = proposals;
      const best = Math.max(...proposals.map(({ probability }) => probability));
      list.replaceChildren(...proposals.map((proposal, place) => itemOf(proposal, place, best)));
      const first = list.querySelector(ITEM);
      if (first) reach(list, ITEM, first);
      if (had) (first ?? other).focus();
      note.textContent = sentence;
      more.disabled = !proposals.length || proposals.length >= KEYS * 5;
    },
  };
}

function titleOf(line, mode) {
  if (mode === "next") return t("line-next", { n: line });
  return t(mode === "begun" ? "line-goes-on" : "line-anew", { n: line });
}

function modeChoice(onMode) {
  const choices = ["begun", "anew"].map((mode) =>
    button(t(`mode-${mode}`), () => onMode(mode), { "data-mode": mode }),
  );
  const element = el("div", { class: "modes", role: "group", "aria-label": t("mode") }, ...choices);
  const show = (mode) => {
    element.classList.toggle("none", mode === "next");
    for (const choice of choices) {
      choice.setAttribute("aria-pressed", String(choice.dataset.mode === mode));
      choice.disabled = mode === "next";
    }
  };
  return { element, show };
}

// The bar compares the lines with each other; how likely each is by itself, the figure says.
function itemOf(proposal, place, best) {
  const label = spoken(proposal, place);
  const bar = el("span", { class: "bar" }, el("span", { class: "filled" }));
  // A share of the bar cannot be written in a style sheet; this is not an inline style of markup.
  const share = Math.max(2, Math.round((proposal.probability / best) * 100));
  bar.firstChild.style.inlineSize = `${share}%`;
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "proposal", "data-place": place, tabindex: -1, "aria-label": label },
      el("kbd", { "aria-hidden": "true" }, place < KEYS ? String(place + 1) : ""),
      el("span", { class: "proposed song-type", dir: "auto" }, ...marked(proposal)),
      el(
        "span",
        { class: "likely" },
        bar,
        el("span", { class: "share" }, shownPercent(proposal.probability)),
      ),
      el("span", { class: "meta" }, ...metaOf(proposal)),
    ),
  );
}

// The line in pieces: what is copied, what rhymes, never within a letter.
function marked(proposal) {
  const { line, rhyme, rhymes_with: other } = proposal;
  const copied = isTelling(proposal) ? proposal.copied : null;
  const units = unitsOfPoints(line);
  const within = (part, from, to) => {
    if (!part) return false;
    const start = units[Math.max(0, part.start)] ?? line.length;
    const end = units[Math.min(units.length - 1, part.end)] ?? line.length;
    return start < to && end > from;
  };
  const cut = [];
  for (const { letter, at } of letters(line)) {
    const end = at + letter.length;
    const kinds = [
      within(copied, at, end) && "copied",
      other && within(rhyme, at, end) && "rhyming",
    ];
    const kind = kinds.filter(Boolean).join(" ");
    if (cut.at(-1)?.kind === kind) cut.at(-1).text += letter;
    else cut.push({ text: letter, kind });
  }
  return cut.map(({ text, kind }) => (kind ? el("span", { class: kind }, text) : text));
}

// Whether a person would call it a copy.
function isTelling({ line, copied, verbatim }) {
  return copied !== null && (verbatim || saysSomething(line, copied.end - copied.start));
}

function copiedLetters({ line, copied }) {
  const units = unitsOfPoints(line);
  const inLine = line.slice(units[Math.max(0, copied.start)], units[copied.end] ?? line.length);
  // What it copies of the line before is counted by code points: that line is not here.
  return countLetters(inLine) + Math.max(0, -copied.start);
}

function metaOf(proposal) {
  const parts = [];
  if (proposal.rhymes_with) {
    parts.push(el("span", { class: "rhymes" }, t("rhymes-with", { line: proposal.rhymes_with })));
  }
  if (isTelling(proposal)) {
    parts.push(el("span", { class: "copies" }, copySentence(proposal)));
  }
  return parts;
}

function copySentence(proposal) {
  const source = proposal.copied.source;
  if (proposal.verbatim) return t("copied-whole", { source });
  return t("copied-from", { n: copiedLetters(proposal), source });
}

function spoken(proposal, place) {
  const parts = [
    t("proposal-says", {
      n: place + 1,
      line: proposal.line,
      likely: shownPercent(proposal.probability),
    }),
  ];
  if (proposal.rhymes_with) parts.push(t("rhymes-with", { line: proposal.rhymes_with }));
  if (isTelling(proposal)) parts.push(copySentence(proposal));
  return parts.join(". ");
}
