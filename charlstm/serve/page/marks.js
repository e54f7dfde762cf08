// What is shown on a text: how much each letter surprised the model, and what is a copy.

import {
  countLetters,
  letters,
  saysSomething,
  sharedEnd,
  sharedStart,
  unitsOfPoints,
} from "./text.js";

// Up to this many bits, this shade; the command line's page has the same steps.
const SHADES = [1, 2, 4, 6, 9];
const RHYME_COLOURS = 6;

/**
 * @typedef {{text: string, bits: (number|null)[], copies: {start: number, end: number,
 *   source: string, text: string}[], rhymes: {start: number, end: number, number: number}[]}} Marks offsets and bits by UTF-16 units
 */

/**
 * Turn what the server read, in code points, into marks on the page's text.
 * @param {string} text
 * @param {Object} read
 * @returns {Marks}
 */
export function marksOf(text, read) {
  const units = unitsOfPoints(text);
  const bits = new Array(text.length).fill(null);
  (read.surprisal ?? []).forEach((value, point) => {
    if (point < units.length - 1) bits[units[point]] = value;
  });
  const telling = (copy) => saysSomething(copy.text, countLetters(copy.text));
  const copies = (read.copies ?? []).filter(telling).map((copy) => ({
    ...copy,
    start: units[Math.max(0, copy.start)] ?? text.length,
    end: units[Math.min(units.length - 1, copy.end)] ?? text.length,
  }));
  return { text, bits, copies, rhymes: rhymesOf(read.rhymes, units, text) };
}

// Ends of lines that rhyme with another one; each sound has a number.
function rhymesOf(told, units, text) {
  const ends = told ?? [];
  const many = ends.filter(({ group }) => ends.filter((other) => other.group === group).length > 1);
  const groups = [...new Set(many.map(({ group }) => group))];
  return many.map(({ start, end, group }) => ({
    start: units[start] ?? text.length,
    end: units[end] ?? text.length,
    number: groups.indexOf(group) % RHYME_COLOURS,
  }));
}

/**
 * Carry marks over to a text that has changed: what stands before and after the change keeps them.
 * @param {Marks} marks
 * @param {string} text
 * @returns {Marks}
 */
export function carried(marks, text) {
  if (marks.text === text) return marks;
  const start = sharedStart(marks.text, text);
  const end = sharedEnd(marks.text, text, start);
  const shift = text.length - marks.text.length;
  const between = new Array(text.length - start - end).fill(null);
  const bits = [
    ...marks.bits.slice(0, start),
    ...between,
    ...marks.bits.slice(marks.bits.length - end),
  ];
  const kept = (one) => {
    if (one.end <= start) return [one];
    if (one.start < marks.text.length - end) return [];
    return [{ ...one, start: one.start + shift, end: one.end + shift }];
  };
  const [copies, rhymes] = [marks.copies.flatMap(kept), marks.rhymes.flatMap(kept)];
  return { text, bits, copies, rhymes };
}

/**
 * Cut a line into pieces that look alike, never within a letter.
 * @param {string} line
 * @param {number} start where it stands in the text
 * @param {Marks|null} marks
 * @param {{copies: boolean, surprisal: boolean, rhymes: boolean}} shown
 * @returns {{text: string, kind: string}[]}
 */
export function pieces(line, start, marks, shown) {
  if (!marks || !(shown.copies || shown.surprisal || shown.rhymes))
    return line ? [{ text: line, kind: "" }] : [];
  const cut = [];
  for (const { letter, at } of letters(line)) {
    const kind = kindOf(start + at, start + at + letter.length, marks, shown);
    const last = cut.at(-1);
    if (last && last.kind === kind) last.text += letter;
    else cut.push({ text: letter, kind });
  }
  return cut;
}

function kindOf(from, to, marks, shown) {
  const kinds = [];
  if (shown.surprisal) {
    const shade = shadeOf(marks.bits.slice(from, to));
    if (shade) kinds.push(`s${shade}`);
  }
  if (shown.copies && marks.copies.some((copy) => copy.start < to && copy.end > from)) {
    kinds.push("copied");
  }
  const rhyme = shown.rhymes && marks.rhymes.find((one) => one.start < to && one.end > from);
  if (rhyme) kinds.push("rhymed", `r${rhyme.number}`);
  return kinds.join(" ");
}

// A letter is as surprising as all its code points are together.
function shadeOf(bits) {
  const known = bits.filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return 0;
  const sum = known.reduce((one, other) => one + other, 0);
  const step = SHADES.findIndex((most) => sum <= most);
  return step < 0 ? SHADES.length : step;
}

/**
 * Return which share of a text's letters is marked as copied, white space aside.
 * @param {Marks} marks
 * @returns {number|null} nothing for a text without letters
 */
export function copiedShare(marks) {
  const all = letters(marks.text).filter(({ letter }) => letter.trim());
  const copied = all.filter(({ at }) =>
    marks.copies.some((copy) => copy.start <= at && at < copy.end),
  );
  return all.length ? copied.length / all.length : null;
}

/**
 * Return the copied passage that a place lies in, the longest if there are several.
 * @param {Marks|null} marks
 * @param {number} place in UTF-16 units
 */
export function copyAt(marks, place) {
  const there = (marks?.copies ?? []).filter((copy) => copy.start <= place && place <= copy.end);
  there.sort((one, other) => other.end - other.start - (one.end - one.start));
  return there[0] ?? null;
}
