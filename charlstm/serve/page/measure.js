// Measuring: how good a model is, what its units do, how much of a text is copied, and where a text
// surprises.

import { get, ofRun, post } from "./api.js";
import { button, el } from "./dom.js";
import { shownFigure, shownTenths, shownWhole } from "./figures.js";
import { copiedShare, marksOf, pieces } from "./marks.js";
import { sentenceOf, trouble } from "./questions.js";
import { t } from "./strings.js";
import { countLetters } from "./text.js";

// What the table shows, in the order of the command line's; those a model lacks are left out.
const ROWS = ["lstm", "recall", "so_far", "five_gram", "unigram", "uniform"];
const SHOWN_PASSAGES = 12;

/**
 * Show how a model is measured.
 * @param {HTMLElement} room
 * @param {string[]} path a run, or nothing for the last one
 * @param {AbortSignal} left
 */
export async function showMeasure(room, path, left) {
  const failed = trouble();
  const page = el("div", { class: "page" }, el("h1", {}, t("measure")), failed);
  room.append(page);
  try {
    const { runs } = await get("/api/runs", { signal: left });
    const usable = runs.filter((run) => run.state === "ready" || run.state === "stopped");
    if (!usable.length) {
      page.append(
        el("p", {}, t("no-model-how")),
        el("a", { class: "act primary", href: "#/new" }, t("new-model")),
      );
      return;
    }
    const wished = path[0] ?? localStorage.getItem("run");
    const run = usable.find(({ name }) => name === wished) ?? usable[0];
    page.append(choosing(usable, run), heldOut(run, left), inside(run, left), ofText(run, left));
  } catch (problem) {
    if (problem.name !== "AbortError") failed.say(sentenceOf(problem));
  }
}

function choosing(usable, run) {
  const select = el(
    "select",
    { id: "measured-run" },
    ...usable.map(({ name }) => el("option", { value: name, selected: name === run.name }, name)),
  );
  select.addEventListener("change", () => {
    location.hash = `#/measure/${encodeURIComponent(select.value)}`;
  });
  return el(
    "div",
    { class: "field inline" },
    el("label", { for: "measured-run" }, t("model")),
    select,
  );
}

/** A section with one button that asks for something, and shows what came. */
function asking(names, meanwhile, ask, left) {
  const failed = trouble();
  const place = el("div", { class: "measured", "aria-live": "polite" });
  const begin = button(
    t(names.button),
    async () => {
      failed.say("");
      begin.disabled = true;
      place.replaceChildren(el("p", { class: "soft" }, t(meanwhile)));
      try {
        place.replaceChildren(...(await ask()));
      } catch (problem) {
        if (left.aborted) return;
        place.replaceChildren();
        failed.say(sentenceOf(problem));
      }
      begin.disabled = false;
    },
    { class: "act" },
  );
  return el(
    "section",
    {},
    el("h2", {}, t(names.title)),
    el("p", { class: "soft" }, t(names.about)),
    begin,
    failed,
    place,
  );
}

function heldOut(run, left) {
  const names = { title: "how-good", about: "how-good-is", button: "measure-held-out" };
  const ask = async () => tableOf(await post(ofRun(run.name, "measure"), {}, { signal: left }));
  return asking(names, "measuring", ask, left);
}

function tableOf(figures) {
  const row = (name, of, kind) =>
    el(
      "tr",
      { class: kind },
      el("th", { scope: "row" }, t(`row-${name}`)),
      ...[of.perplexity, of.bits_per_character].map((value, at) =>
        el("td", { class: "number" }, shownFigure(value, at ? 3 : 2)),
      ),
    );
  const parts = ROWS.filter((name) => figures[name]).map((name) =>
    row(name, figures[name], ["lstm", "recall", "so_far"].includes(name) ? "part" : "beside"),
  );
  return [
    el(
      "table",
      {},
      el("caption", {}, t("predicted", { n: shownWhole(figures.characters) })),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td"),
          ...["perplexity", "bits-a-character"].map((key) =>
            el("th", { scope: "col", class: "number" }, t(key)),
          ),
        ),
      ),
      el("tbody", {}, row("model", figures, "whole"), ...parts),
    ),
    el("p", { class: "soft" }, t("perplexity-is")),
    el("p", { class: "soft" }, errorOf(figures.standard_error)),
  ];
}

/** How far other text may be from a perplexity, by its standard error in nats. */
function errorOf(error) {
  return error === null ? t("no-error") : t("standard-error", { share: shownTenths(Math.expm1(error)) });
}

function inside(run, left) {
  const names = { title: "inside", about: "inside-is", button: "look-inside" };
  return asking(names, "looking-inside", async () => [await insideOf(run, "", left)], left);
}

/** Let a page be made that shows what a model does while it reads, and return where it is. */
async function insideOf(run, text, left) {
  const { page } = await post(ofRun(run.name, "inside"), { text }, { signal: left });
  const link = el("a", { class: "act primary", href: page, target: "_blank" }, t("open-inside"));
  return el("p", {}, link);
}

function ofText(run, left) {
  const failed = trouble();
  const text = el("textarea", { id: "measured-text", rows: 8, dir: "auto", spellcheck: "false" });
  const place = el("div", { class: "measured", "aria-live": "polite" });
  const doing = (question, show, meanwhile = "measuring") => async () => {
    failed.say("");
    if (!text.value.trim()) return failed.say(t("nothing-pasted"));
    const measured = text.value.replaceAll("\r\n", "\n");
    place.replaceChildren(el("p", { class: "soft" }, t(meanwhile)));
    try {
      place.replaceChildren(...show(measured, await question(measured)));
    } catch (problem) {
      if (left.aborted) return undefined;
      place.replaceChildren();
      failed.say(sentenceOf(problem));
    }
    return undefined;
  };
  const read = (measured) =>
    post(ofRun(run.name, "read"), { text: measured, label: {} }, { signal: left });
  const compare = (measured) =>
    post(ofRun(run.name, "novelty"), { texts: [measured] }, { signal: left });
  const look = (measured) => insideOf(run, measured, left);
  return el(
    "section",
    {},
    el("h2", {}, t("a-text")),
    el("label", { for: "measured-text", class: "soft" }, t("a-text-is")),
    text,
    el(
      "div",
      { class: "acts" },
      button(t("where-surprised"), doing(read, surprise), { class: "act" }),
      button(t("what-copied"), doing(compare, novelty), { class: "act" }),
      button(t("look-inside-text"), doing(look, (_, link) => [link], "looking-inside"), { class: "act" }),
    ),
    failed,
    place,
  );
}

function surprise(text, read) {
  const marks = marksOf(text, read);
  let start = 0;
  const lines = text.split("\n").map((line) => {
    const cut = pieces(line, start, marks, { copies: true, surprisal: true, rhymes: false });
    start += line.length + 1;
    const drawn = cut.map((piece) => el("span", { class: piece.kind || null }, piece.text));
    return el("div", { dir: "auto" }, ...(drawn.length ? drawn : ["\u00a0"]));
  });
  const keys = [1, 2, 3, 4, 5].map((step) => el("span", { class: `s${step}` }, t(`shade-${step}`)));
  const said = [
    t("text-perplexity", { n: shownFigure(read.perplexity, 2) }),
    t("bits", { n: shownFigure(read.bits_per_character, 2) }),
  ];
  if (read.copies_problem) said.push(read.copies_problem);
  else said.push(t("copied-share", { share: shownTenths(copiedShare(marks) ?? 0) }));
  if (read.unknown?.length) said.push(t("n-unknown", { n: read.unknown.length }));
  return [
    el("p", { class: "counts" }, said.join(" · ")),
    el(
      "p",
      { class: "shades" },
      t("shades"),
      ...keys,
      el("span", { class: "copied" }, t("copied")),
    ),
    el("div", { class: "surprised song-type" }, ...lines),
  ];
}

function novelty(text, told) {
  const rows = told.ngrams
    .filter(({ n, windows }) => windows && n >= 3)
    .map(({ n, share }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, t("in-a-row", { n })),
        el("td", { class: "number" }, shownTenths(share)),
        ...(told.held_out
          ? [
              el(
                "td",
                { class: "number" },
                shownTenths(told.held_out.ngrams.find((other) => other.n === n)?.share ?? 0),
              ),
            ]
          : []),
      ),
    );
  const lines = told.lines
    ? el(
        "tr",
        {},
        el("th", { scope: "row" }, t("whole-lines")),
        el("td", { class: "number" }, shownTenths(told.verbatim_lines / told.lines)),
        ...(told.held_out?.lines
          ? [
              el(
                "td",
                { class: "number" },
                shownTenths(told.held_out.verbatim_lines / told.held_out.lines),
              ),
            ]
          : []),
      )
    : null;
  const passages = told.passages
    .slice(0, SHOWN_PASSAGES)
    .map((passage) =>
      el(
        "li",
        {},
        el(
          "span",
          { class: "copied song-type", dir: "auto" },
          passage.text.replaceAll("\n", " ⏎ "),
        ),
        " ",
        el("span", { class: "soft" }, passageSays(passage)),
      ),
    );
  return [
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, t("copied-in-a-row")),
          el("th", { scope: "col", class: "number" }, t("this-text")),
          ...(told.held_out
            ? [el("th", { scope: "col", class: "number" }, t("held-out-text"))]
            : []),
        ),
      ),
      el("tbody", {}, ...rows, lines ?? ""),
    ),
    passages.length ? el("h3", {}, t("longest-copies")) : "",
    passages.length ? el("ol", { class: "passages" }, ...passages) : el("p", {}, t("no-copies")),
  ];
}

function passageSays({ text, line, source }) {
  const count = countLetters(text);
  const said = t("n-characters", { n: shownWhole(count), count });
  if (!source) return said;
  return `${said}, ${t("from-line", { n: shownWhole(line), source })}`;
}
