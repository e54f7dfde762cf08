// A new model: a text is handed over, looked at together, and learned.

import { get, post } from "./api.js";
import { button, el } from "./dom.js";
import { shownShort, shownWhole } from "./figures.js";
import { sentenceOf, trouble } from "./questions.js";
import { t } from "./strings.js";
import { acceptDrops, filesOfInput, send } from "./upload.js";

const MOST = 512 * 1024 * 1024;
let brought = null; // what was dropped in another room

/**
 * Bring files along, and go where a model is made of them.
 * @param {import("./upload.js").Found[]} found
 */
export function bring(found) {
  brought = found;
  location.hash = "#/new";
}

/**
 * Show how a model is made.
 * @param {HTMLElement} room
 * @param {string[]} path
 * @param {AbortSignal} left
 */
export async function showNew(room, path, left) {
  const failed = trouble();
  const step = el("div", { class: "step" });
  room.append(el("div", { class: "page narrow" }, el("h1", {}, t("new-model")), failed, step));
  let text = null;
  const forget = () => {
    if (text)
      post(`/api/texts/${encodeURIComponent(text)}/remove`, {}, { keepalive: true }).catch(
        () => {},
      );
    text = null;
  };
  left.addEventListener("abort", forget);

  const begin = () => {
    forget();
    step.replaceChildren(...gathering(hand, failed));
  };
  const hand = async (found) => {
    failed.say("");
    const bytes = found.reduce((sum, { file }) => sum + file.size, 0);
    if (!found.length) return failed.say(t("no-files"));
    if (bytes > MOST) return failed.say(t("too-much"));
    const bar = el("progress", { max: 1, value: 0, "aria-label": t("handing-over") });
    const stopped = new AbortController();
    left.addEventListener("abort", () => stopped.abort());
    const said = el("p", { role: "status" }, t("handing-over-files", { n: found.length }));
    const cancel = button(t("cancel"), () => stopped.abort(), { class: "act" });
    step.replaceChildren(el("div", { class: "sending" }, said, bar, cancel));
    try {
      text = (await post("/api/texts", {}, { signal: stopped.signal })).id;
      await send(text, found, (share) => (bar.value = share), stopped.signal);
      said.textContent = t("looking");
      bar.removeAttribute("value");
      const look = await post(
        `/api/texts/${encodeURIComponent(text)}/look`,
        {},
        { signal: stopped.signal },
      );
      step.replaceChildren(...looked(look, begin, (wish) => train(text, wish)));
      step.querySelector("h2").focus();
    } catch (problem) {
      if (left.aborted) return;
      if (problem.name !== "AbortError") failed.say(sentenceOf(problem));
      begin();
    }
  };
  const train = async (id, { name, minutes }) => {
    failed.say("");
    try {
      await post("/api/training", { text: id, name, minutes });
      text = null; // the training reads it now
      location.hash = "#/training";
    } catch (problem) {
      failed.say(sentenceOf(problem));
      failed.scrollIntoView({ block: "nearest" });
    }
  };
  begin();
  acceptDrops(
    room,
    (found, dropped) => {
      const pasted = document.getElementById("pasted");
      if (found.length || !dropped) hand(found);
      else if (pasted) pasted.value = dropped;
    },
    (problem) => failed.say(t("cannot-read", { problem: problem.message })),
  );
  if (brought) {
    const found = brought;
    brought = null;
    await hand(found);
    return;
  }
  const { training } = await get("/api/training").then(
    (told) => ({
      training: told.training === null ? null : told,
    }),
    () => ({ training: null }),
  );
  if (training && ["starting", "running", "stopping"].includes(training.state)) {
    failed.replaceChildren(t("one-at-a-time"), " ", el("a", { href: "#/training" }, t("watch")));
  }
}

// Everything on the page takes what is dropped; the frame says where one would look for a place.
function gathering(hand, failed) {
  const files = el("input", {
    type: "file",
    multiple: true,
    class: "unseen",
    tabindex: -1,
    "aria-hidden": "true",
  });
  const folder = el("input", {
    type: "file",
    webkitdirectory: true,
    class: "unseen",
    tabindex: -1,
    "aria-hidden": "true",
  });
  for (const input of [files, folder]) {
    input.addEventListener("change", () => hand(filesOfInput(input.files)));
  }
  const zone = el(
    "div",
    { class: "drop" },
    el("p", { class: "drop-here" }, t("drop-here")),
    el("p", { class: "soft" }, t("drop-kinds")),
    el(
      "div",
      { class: "acts" },
      button(t("choose-files"), () => files.click(), { class: "act" }),
      button(t("choose-folder"), () => folder.click(), { class: "act" }),
    ),
    files,
    folder,
  );
  const pasted = el("textarea", { id: "pasted", rows: 8, dir: "auto", spellcheck: "false" });
  const use = () => {
    if (!pasted.value.trim()) return failed.say(t("nothing-pasted"));
    const file = new File([pasted.value], "pasted.txt", { type: "text/plain" });
    return hand([{ path: `${t("pasted-name")}.txt`, file }]);
  };
  return [
    zone,
    el(
      "div",
      { class: "paste" },
      el("label", { for: "pasted" }, t("or-paste")),
      pasted,
      button(t("use-pasted"), use, { class: "act" }),
    ),
    el("p", { class: "soft" }, t("stays-here")),
  ];
}

function looked(look, begin, train) {
  const counts = [t("n-characters", { n: shownWhole(look.characters), count: look.characters })];
  if (look.songs !== null)
    counts.unshift(t("n-songs", { n: shownWhole(look.songs), count: look.songs }));
  counts.push(t("n-distinct", { n: shownWhole(look.distinct) }));
  const files = look.files.map(({ path, encoding, characters }) =>
    el(
      "tr",
      {},
      el("td", { dir: "auto" }, path),
      el("td", {}, encoding),
      el("td", { class: "number" }, shownShort(characters)),
    ),
  );
  if (look.more_files) {
    files.push(el("tr", {}, el("td", { colspan: 3 }, t("more-files", { n: look.more_files }))));
  }
  const excerpt = look.excerpt
    .replace(/\n+$/, "")
    .split("\n")
    .map((line) => el("div", { dir: "auto" }, line || "\u00a0"));
  const sentences = [...look.left_out, ...look.notes].map((sentence) => el("li", {}, sentence));
  return [
    el("h2", { tabindex: -1 }, t("found")),
    el("p", { class: "counts" }, counts.join(" · ")),
    sentences.length ? el("ul", { class: "notes" }, ...sentences) : null,
    el(
      "div",
      {
        class: "excerpt song-type",
        role: "img",
        "aria-label": t("excerpt-of", { text: look.excerpt }),
      },
      ...excerpt,
    ),
    el(
      "details",
      {},
      el("summary", {}, t("files-and-encodings", { n: look.files.length + look.more_files })),
      el(
        "table",
        { class: "files" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ...["file", "encoding", "characters"].map((key, at) =>
              el("th", { scope: "col", class: at === 2 ? "number" : null }, t(key)),
            ),
          ),
        ),
        el("tbody", {}, ...files),
      ),
    ),
    choosing(look, begin, train),
  ].filter(Boolean);
}

function choosing(look, begin, train) {
  const name = el("input", {
    id: "model-name",
    value: look.name,
    maxlength: 120,
    spellcheck: "false",
    dir: "auto",
  });
  const time = chooseTime(look.minutes, look.usual);
  const form = el(
    "form",
    { class: "choosing" },
    el("div", { class: "field" }, el("label", { for: "model-name" }, t("name")), name),
    time.element,
    el(
      "div",
      { class: "acts" },
      el("button", { type: "submit", class: "act primary" }, t("learn")),
      button(t("other-text"), begin, { class: "act quiet" }),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const submit = form.querySelector("[type=submit]");
    submit.disabled = true;
    await train({ name: name.value.trim() || null, minutes: time.minutes() });
    submit.disabled = false;
  });
  return form;
}

/**
 * Make a choice of how long a model learns.
 * @param {number[]} offered minutes
 * @param {number} usual the one that is chosen at first
 * @returns {{element: HTMLElement, minutes: () => number}}
 */
export function chooseTime(offered, usual) {
  const own = el("input", {
    type: "number",
    min: 0.01,
    max: 100000,
    step: "any",
    value: usual,
    class: "own-minutes",
    "aria-label": t("own-minutes"),
  });
  const choice = (value, ...label) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "radio", name: "minutes", value, checked: value === String(usual) }),
      ...label,
    );
  const element = el(
    "fieldset",
    { class: "times" },
    el("legend", {}, t("how-long")),
    ...offered.map((minutes) =>
      choice(String(minutes), el("span", {}, t("minutes", { n: minutes }))),
    ),
    choice("own", el("span", {}, t("own")), own, el("span", { "aria-hidden": "true" }, t("min"))),
    el("p", { class: "soft" }, t("how-long-hint")),
  );
  own.addEventListener("input", () => (element.querySelector("[value=own]").checked = true));
  own.addEventListener("focus", () => (element.querySelector("[value=own]").checked = true));
  const minutes = () => {
    const chosen = element.querySelector("[name=minutes]:checked")?.value ?? String(usual);
    return chosen === "own" ? Number(own.value) || usual : Number(chosen);
  };
  return { element, minutes };
}
