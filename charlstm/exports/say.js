// What a page says, in the language of its reader: the words are in TABLE, in strings.js.

const LANGUAGES = ["en", "zh-Hans"];

/** The language of the page: the first of those that the browser's user reads. */
const LANGUAGE = (() => {
  for (const language of navigator.languages ?? [navigator.language]) {
    if (/^zh\b/i.test(language)) return "zh-Hans";
    if (/^en\b/i.test(language)) return "en";
  }
  return "en";
})();

/**
 * Say something in the language of the page.
 * @param {string} key
 * @param {Object<string, string|number>} [values] what is put in; `count` chooses one or many
 */
function say(key, values = {}) {
  const [one, many = one] = TABLE[key][LANGUAGES.indexOf(LANGUAGE)].split("|");
  const form = values.count === 1 ? one : many;
  return form.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 2, minimumFractionDigits: 2 });

/** Put the words of the page into it. */
function sayAll() {
  document.documentElement.lang = LANGUAGE;
  for (const element of document.querySelectorAll("[data-say]")) {
    element.textContent = say(element.dataset.say);
  }
}
