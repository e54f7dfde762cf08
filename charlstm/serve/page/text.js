// Texts as people see them and as the server counts them: letters, code points, lines.
//
// A string of JavaScript counts UTF-16 units, the server counts code points, a person counts
// letters (grapheme clusters). Only this file converts.

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const wordSegmenter = new Intl.Segmenter(undefined, { granularity: "word" });

/**
 * Return where every code point of a text begins, in UTF-16 units, and where the text ends.
 * @param {string} text
 * @returns {number[]} one more than there are code points
 */
export function unitsOfPoints(text) {
  const starts = [];
  let at = 0;
  for (const point of text) {
    starts.push(at);
    at += point.length;
  }
  starts.push(at);
  return starts;
}

/**
 * Yield the letters of a text, each with where it begins in UTF-16 units.
 * @param {string} text
 * @returns {{letter: string, at: number}[]}
 */
export function letters(text) {
  return Array.from(segmenter.segment(text), ({ segment, index }) => ({
    letter: segment,
    at: index,
  }));
}

/**
 * Return how many letters a person would count.
 * @param {string} text
 */
export function countLetters(text) {
  return letters(text).length;
}

// Few words of an alphabet have more letters, and no word is anybody's own.
const OWN = 15;
const WORDS_OF_ONE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

/**
 * Return whether a passage that stands in two texts is more than a word or two that both use: where
 * a letter is hardly less than a word, as in Chinese, any that was found, else a longer one.
 * @param {string} text where it stands
 * @param {number} count its letters
 */
export function saysSomething(text, count) {
  return WORDS_OF_ONE.test(text) || count >= OWN;
}

/**
 * Return the first word of a text, with what stands before it.
 * @param {string} text
 * @returns {string}
 */
export function firstWord(text) {
  for (const { segment, index, isWordLike } of wordSegmenter.segment(text)) {
    if (isWordLike) return text.slice(0, index + segment.length);
  }
  return text;
}

/**
 * Return the longest beginning that two texts share, in UTF-16 units and at the end of a letter.
 * @param {string} one
 * @param {string} other
 */
export function sharedStart(one, other) {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && one[at] === other[at]) at += 1;
  // Not between the halves of a surrogate pair.
  if (at > 0 && /[\ud800-\udbff]/.test(one[at - 1])) at -= 1;
  return at;
}

/**
 * Return the longest end that two texts share after `start` units, which their beginnings share.
 * @param {string} one
 * @param {string} other
 * @param {number} start
 */
export function sharedEnd(one, other, start) {
  const most = Math.min(one.length, other.length) - start;
  let count = 0;
  while (count < most && one.at(-1 - count) === other.at(-1 - count)) count += 1;
  if (count > 0 && /[\udc00-\udfff]/.test(one.at(-count))) count -= 1;
  return count;
}

/**
 * Return the line in which a place of a text lies.
 * @param {string} text
 * @param {number} place in UTF-16 units
 * @returns {{index: number, start: number, end: number, text: string}}
 */
export function lineAt(text, place) {
  const start = text.lastIndexOf("\n", place - 1) + 1;
  const next = text.indexOf("\n", place);
  const end = next < 0 ? text.length : next;
  const index = text.slice(0, start).split("\n").length - 1;
  return { index, start, end, text: text.slice(start, end) };
}

/**
 * Return the first line with words in it, or nothing.
 * @param {string} text
 */
export function firstLine(text) {
  return (
    text
      .split("\n")
      .find((line) => line.trim())
      ?.trim() ?? ""
  );
}

/**
 * Return a name for a song's file that no file system stumbles over, or nothing.
 * @param {string} text
 */
export function fileName(text) {
  const plain = firstLine(text)
    .replace(/[\\/:*?"<>|\u0000-\u001f]/g, " ")
    .trim();
  return shortened(plain, 40).replace(/^\.+|[.…]+$/g, "");
}

/**
 * Cut what is too long for a label, between two letters.
 * @param {string} text
 * @param {number} most letters
 */
export function shortened(text, most) {
  const all = letters(text);
  return all.length <= most ? text : `${text.slice(0, all[most - 1].at).trimEnd()}…`;
}
