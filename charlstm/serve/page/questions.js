// A question before something that cannot be taken back, and a sentence when something failed.

import { Gone } from "./api.js";
import { button, el } from "./dom.js";
import { t } from "./strings.js";

/**
 * Ask, and return whether the answer was yes.
 * @param {string} question
 * @param {string} detail what follows from it
 * @param {string} yes what the button says that does it
 * @returns {Promise<boolean>}
 */
export function ask(question, detail, yes) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "question", "aria-labelledby": "question" });
    const end = (answer) => () => {
      dialog.returnValue = answer;
      dialog.close();
    };
    dialog.append(
      el("h2", { id: "question" }, question),
      el("p", {}, detail),
      el(
        "div",
        { class: "answers" },
        // The safe answer first: it has the focus when the question opens.
        button(t("keep"), end("no"), { autofocus: true }),
        button(yes, end("yes"), { class: "danger" }),
      ),
    );
    const before = document.activeElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Return the sentence for what went wrong.
 * @param {Error} problem
 * @returns {string}
 */
export function sentenceOf(problem) {
  if (problem instanceof Gone) return t("gone");
  return problem.status === 401 ? t("no-key") : problem.message;
}

/**
 * Begin what the server tells in words as a sentence begins, and end it so.
 * @param {string} told
 */
export function asSentence(told) {
  const begun = told.charAt(0).toUpperCase() + told.slice(1);
  return /[.!?。！？…]$/.test(begun) ? begun : `${begun}.`;
}

/**
 * Make a place where sentences about failures appear, and are read out.
 * @returns {HTMLElement & {say: (sentence: string) => void}}
 */
export function trouble() {
  const place = el("p", { class: "trouble", role: "alert" });
  place.say = (sentence) => {
    place.textContent = sentence;
  };
  return place;
}
