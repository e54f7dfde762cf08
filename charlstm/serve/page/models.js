// The room of the models: what there is, and what one may do with each.

import { get, ofRun, post } from "./api.js";
import { announce, button, el } from "./dom.js";
import { shownBytes, shownFigure, shownShort, shownWhen } from "./figures.js";
import { bring } from "./new.js";
import { asSentence, ask, sentenceOf, trouble } from "./questions.js";
import { t } from "./strings.js";
import { acceptDrops } from "./upload.js";

/**
 * Show all models.
 * @param {HTMLElement} room
 */
export async function showModels(room) {
  const list = el("ul", { class: "models", "aria-label": t("models") });
  const failed = trouble();
  acceptDrops(room, bring, (problem) => failed.say(t("cannot-read", { problem: problem.message })));
  const begin = el("a", { class: "act primary", href: "#/new" }, t("new-model"));
  const note = el("div", { class: "training-note" });
  room.append(
    el(
      "div",
      { class: "page" },
      el("div", { class: "head" }, el("h1", {}, t("models")), begin),
      failed,
      note,
      list,
    ),
  );
  const refresh = async () => {
    const { runs, training, root } = await get("/api/runs");
    note.replaceChildren(...(training ? [noteOf(training)] : []));
    begin.hidden = !runs.length; // the welcome has it larger
    if (runs.length) list.replaceChildren(...runs.map((run) => itemOf(run, refresh, failed)));
    else list.replaceChildren(welcome(root));
  };
  try {
    await refresh();
  } catch (problem) {
    failed.say(sentenceOf(problem));
  }
}

function welcome(root) {
  return el(
    "li",
    { class: "welcome" },
    el("h2", {}, t("welcome")),
    el("p", {}, t("welcome-how")),
    el("p", { class: "soft" }, t("welcome-where", { root })),
    el("a", { class: "act primary", href: "#/new" }, t("welcome-begin")),
  );
}

function noteOf(training) {
  const under = !["finished", "stopped", "failed"].includes(training.state);
  const said = under
    ? t("being-trained", { name: training.run ?? t("a-model") })
    : t("was-trained", { name: training.run ?? t("a-model") });
  return el("p", {}, said, " ", el("a", { href: "#/training" }, t(under ? "watch" : "look")));
}

function itemOf(run, refresh, failed) {
  const name = el("h2", { class: "name", dir: "auto" }, run.name);
  const item = el("li", { class: "model", "data-run": run.name });
  const act = (doing) => async () => {
    failed.say("");
    try {
      await doing();
    } catch (problem) {
      failed.say(sentenceOf(problem));
    }
  };
  const rename = () => renaming(run, name, refresh, failed);
  const remove = act(async () => {
    const sure = await ask(
      t("remove-model?", { name: run.name }),
      t("remove-model-detail", { n: run.drafts }),
      t("remove"),
    );
    if (!sure) return;
    await post(ofRun(run.name, "remove"));
    announce(t("removed-model", { name: run.name }));
    await refresh();
    document.getElementById("room").focus();
  });
  const place = encodeURIComponent(run.name);
  const ready = run.state === "ready" || run.state === "stopped";
  item.append(
    el(
      "div",
      { class: "who" },
      name,
      el("p", { class: "soft" }, run.described || ""),
      el("p", { class: `state ${run.state}` }, stateOf(run)),
    ),
    figuresOf(run),
    el(
      "div",
      { class: "acts" },
      ready ? el("a", { class: "act primary", href: `#/desk/${place}` }, t("write")) : null,
      run.state === "training" ? el("a", { class: "act", href: "#/training" }, t("watch")) : null,
      run.can_resume && run.state !== "training"
        ? el("a", { class: "act", href: `#/training/${place}` }, t("go-on"))
        : null,
      ready ? el("a", { class: "act", href: `#/measure/${place}` }, t("measure")) : null,
      button(t("rename"), rename, { class: "act quiet" }),
      ready
        ? el(
            "a",
            { class: "act quiet", href: ofRun(run.name, "export"), download: true },
            t("export"),
          )
        : null,
      button(t("remove…"), remove, { class: "act quiet" }),
    ),
  );
  return item;
}

function stateOf(run) {
  if (run.problem) return run.problem;
  if (run.state === "ready") return run.finished ? asSentence(run.finished) : "";
  return t(`state-${run.state}`);
}

function figuresOf(run) {
  const figure = (label, value, detail) =>
    el("div", {}, el("dt", {}, label), el("dd", { title: detail ?? null }, value));
  return el(
    "dl",
    { class: "figures" },
    figure(t("perplexity"), shownFigure(run.perplexity, 2), t("perplexity-is")),
    figure(t("characters"), shownShort(run.characters)),
    run.songs === null ? null : figure(t("songs"), shownShort(run.songs)),
    figure(t("drafts"), shownShort(run.drafts)),
    figure(t("size"), shownBytes(run.bytes)),
    figure(t("saved-at"), shownWhen(run.saved)),
  );
}

function renaming(run, name, refresh, failed) {
  const field = el("input", {
    class: "rename",
    value: run.name,
    "aria-label": t("new-name"),
    maxlength: 120,
    spellcheck: "false",
    dir: "auto",
  });
  let over = false;
  const back = () => {
    over = true;
    name.replaceChildren(run.name);
  };
  const finish = async () => {
    if (over) return;
    over = true;
    failed.say("");
    const wished = field.value.trim();
    if (!wished || wished === run.name) return back();
    try {
      await post(ofRun(run.name, "rename"), { name: wished });
      announce(t("renamed", { name: wished }));
      await refresh();
    } catch (problem) {
      failed.say(sentenceOf(problem));
      over = false;
      field.focus();
    }
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") finish();
    if (event.key === "Escape") back();
  });
  name.replaceChildren(
    field,
    button(t("done"), finish, { class: "act" }),
    button(t("cancel"), back, { class: "act quiet" }),
  );
  field.focus();
  field.select();
}
