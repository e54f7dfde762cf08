// A training as one watches it: its curve, what it writes by then, how long it still takes.
//
// It runs in the server, not in the page: the page may be closed and opened again, and comes back
// by itself when the server was away.

import { Gone, Refused, events, get, ofRun, patience, pause, post } from "./api.js";
import { curve } from "./curve.js";
import { announce, button, el } from "./dom.js";
import { shownDone, shownDuration, shownFigure, shownShort } from "./figures.js";
import { chooseTime } from "./new.js";
import { asSentence, sentenceOf, trouble } from "./questions.js";
import { t } from "./strings.js";

const OVER = ["finished", "stopped", "failed"];
const SHOWN_SAMPLES = 12;

/**
 * Show the training that runs, or what one may go on with.
 * @param {HTMLElement} room
 * @param {string[]} path a run to go on with, or nothing
 * @param {AbortSignal} left
 */
export async function showTraining(room, path, left) {
  const page = el("div", { class: "page" });
  room.append(page);
  if (path[0]) return offerToGoOn(page, path[0], left);
  return follow(page, left);
}

async function offerToGoOn(page, run, left) {
  const failed = trouble();
  page.append(el("h1", { dir: "auto" }, t("go-on-with", { name: run })), failed);
  let told;
  try {
    told = await get(ofRun(run), { signal: left });
  } catch (problem) {
    if (problem.name !== "AbortError") failed.say(sentenceOf(problem));
    return;
  }
  const chart = curve();
  const time = chooseTime([1, 5, 20], 5);
  const form = el(
    "form",
    { class: "choosing" },
    time.element,
    el(
      "div",
      { class: "acts" },
      el("button", { type: "submit", class: "act primary" }, t("go-on")),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.say("");
    try {
      await post("/api/training", { run, minutes: time.minutes() });
      location.hash = "#/training";
    } catch (problem) {
      failed.say(sentenceOf(problem));
    }
  });
  page.append(chart.element, form);
  chart.draw(told.history ?? []);
}

async function follow(page, left) {
  const view = viewOf(page);
  let training = null;
  let attempts = 0;
  const tell = () => view.show(training);
  while (!left.aborted) {
    try {
      const told = await get("/api/training", { signal: left });
      if (told.training === null) return view.nothing();
      training = told;
      attempts = 0;
      view.connected(true);
      tell();
      if (OVER.includes(training.state)) return undefined;
      for await (const { type, ...changes } of events("/api/training/events", left)) {
        training = type === "training" ? changes : merged(training, changes);
        tell();
      }
      // The stream ends with the training, or with the server: the next question tells which.
      await pause(200, left);
    } catch (problem) {
      if (left.aborted) return undefined;
      if (problem instanceof Refused) return view.failed(problem);
      if (!(problem instanceof Gone)) throw problem;
      view.connected(false);
      await pause(patience(attempts), left).catch(() => {});
      attempts += 1;
    }
  }
  return undefined;
}

// An event tells what changed; of lists, what came to them (or all of it, which changes nothing).
function merged(training, changes) {
  return {
    ...training,
    ...changes,
    history: joined(training.history, changes.history, (entry) => entry.step),
    samples: joined(
      training.samples,
      changes.samples,
      (one) => `${one.epoch} ${one.prefix} ${one.text}`,
    ),
  };
}

function joined(known, more, keyOf) {
  if (!more) return known;
  const all = new Map([...known, ...more].map((entry) => [keyOf(entry), entry]));
  return [...all.values()];
}

function viewOf(page) {
  const title = el("h1", { dir: "auto" }, t("learning"));
  const failed = trouble();
  const away = el("p", { class: "away", role: "status" });
  const bar = el("progress", { max: 1, value: 0, "aria-label": t("progress") });
  const state = el("p", { class: "training-state" }, t("training-starting"));
  const figures = el("dl", { class: "figures" });
  const chart = curve();
  const acts = el("div", { class: "acts" });
  const notes = el("ul", { class: "notes" });
  const how = el(
    "details",
    { class: "how-it-learns" },
    el("summary", {}, t("how-it-learns")),
    notes,
  );
  how.hidden = true;
  const samples = el("div", { class: "samples" });
  const writing = el("section", { class: "writes" }, el("h2", {}, t("what-it-writes")), samples);
  page.append(
    title,
    failed,
    away,
    el("div", { class: "progress" }, bar, state),
    acts,
    el("div", { class: "watching" }, el("div", {}, chart.element, figures, how), writing),
  );
  let shownState = null;
  let shownKey = null;

  const stop = button(
    t("stop"),
    async () => {
      stop.disabled = true;
      try {
        await post("/api/training/stop");
      } catch (problem) {
        stop.disabled = false;
        failed.say(sentenceOf(problem));
      }
    },
    { class: "act" },
  );

  const actsOf = (training) => {
    if (training.state === "starting" || training.state === "running") {
      stop.disabled = false;
      return [stop, el("span", { class: "soft" }, t("stop-keeps"))];
    }
    if (!OVER.includes(training.state)) return [];
    const run = training.run;
    const place = run && encodeURIComponent(run);
    const usable = run && (training.state !== "failed" || training.history.length);
    return [
      usable
        ? el("a", { class: "act primary", href: `#/desk/${place}` }, t("write-with-it"))
        : null,
      usable ? el("a", { class: "act", href: `#/training/${place}` }, t("go-on")) : null,
      el("a", { class: "act quiet", href: "#/" }, t("models")),
    ].filter(Boolean);
  };

  return {
    show(training) {
      title.textContent = training.run ? t("learning-name", { name: training.run }) : t("learning");
      if (training.progress === null || training.state === "starting") bar.removeAttribute("value");
      else
        bar.value =
          OVER.includes(training.state) && training.state === "finished" ? 1 : training.progress;
      state.textContent = sayState(training);
      if (notes.childElementCount !== (training.notes ?? []).length) {
        how.hidden = false;
        notes.replaceChildren(...training.notes.map((note) => el("li", {}, note)));
      }
      if (training.problem) failed.say(training.problem);
      if (shownState !== training.state) {
        acts.replaceChildren(...actsOf(training));
        if (shownState !== null) announce(sayState(training));
        shownState = training.state;
      }
      chart.draw(training.history);
      figures.replaceChildren(...figuresOf(training));
      writing.hidden = !training.samples.length && OVER.includes(training.state);
      const key = training.samples.length;
      if (key !== shownKey) {
        samples.replaceChildren(...samplesOf(training.samples));
        shownKey = key;
      }
    },
    connected(there) {
      away.textContent = there ? "" : t("training-away");
      stop.disabled = !there;
    },
    nothing() {
      page.replaceChildren(
        el("h1", {}, t("no-training")),
        el("p", {}, t("no-training-how")),
        el(
          "div",
          { class: "acts" },
          el("a", { class: "act primary", href: "#/new" }, t("new-model")),
          el("a", { class: "act", href: "#/" }, t("models")),
        ),
      );
    },
    failed(problem) {
      failed.say(sentenceOf(problem));
    },
  };
}

function sayState(training) {
  if (training.state === "running") {
    const done = shownDone(training.progress ?? 0);
    if (training.seconds_left === null) return t("training-running", { done });
    return t("training-left", { done, time: shownDuration(training.seconds_left) });
  }
  if (training.state === "finished" || training.state === "stopped") {
    return training.reason ? asSentence(training.reason) : t(`training-${training.state}`);
  }
  return t(`training-${training.state}`);
}

function figuresOf(training) {
  const figure = (label, value) => el("div", {}, el("dt", {}, label), el("dd", {}, value));
  const held = training.history.filter((entry) => Number.isFinite(entry.validation_loss));
  const best = held.length ? Math.min(...held.map((entry) => entry.validation_loss)) : null;
  return [
    figure(t("held-out-perplexity"), shownFigure(best === null ? null : Math.exp(best), 2)),
    figure(t("passes"), training.epoch ? shownShort(training.epoch) : "–"),
    figure(
      t("characters-a-second"),
      training.characters_per_second ? shownShort(training.characters_per_second) : "–",
    ),
  ];
}

function samplesOf(samples) {
  if (!samples.length) return [el("p", { class: "soft" }, t("no-samples-yet"))];
  return samples
    .slice(-SHOWN_SAMPLES)
    .reverse()
    .map((sample) =>
      el(
        "article",
        { class: "sample" },
        el("h3", {}, sample.epoch ? t("after-pass", { n: sample.epoch }) : t("a-sample")),
        el("div", { class: "song-type" }, ...linesOf(sample.text)),
      ),
    );
}

function linesOf(text) {
  return text
    .trim()
    .split("\n")
    .slice(0, 12)
    .map((line) => el("div", { dir: "auto" }, line || "\u00a0"));
}
