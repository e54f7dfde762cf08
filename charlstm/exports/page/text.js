// The text: in the form that the model reads, its unseen characters, and its letters.

/** What opens and ends a song inside of the program, and is no character. */
const END = "\ufdd0";
/** The id of whatever has no id of its own. */
const UNKNOWN = 0;
/** Hardly a letter of any language or any emoji has more code points. */
const LONGEST = 32;

/** The characters of a model, their ids, and what is no character among them. */
class Vocabulary {
  /** @param {Object} model what the page says of it: characters, marks, lookalikes */
  constructor(model) {
    this.names = ["\ufffd", ...model.characters];
    this.ids = new Map(this.names.map((name, id) => [name, id]));
    this.ids.delete("\ufffd");
    if (model.characters.includes("\ufffd")) this.ids.set("\ufffd", this.names.lastIndexOf("\ufffd"));
    this.marks = new Set(model.marks.map((id) => this.names[id]));
    this.lookalikes = new Map(Object.entries(model.lookalikes));
  }

  has(character) {
    return this.ids.has(character) && !this.marks.has(character);
  }

  /** The id of a character; that of <unk> where it has none. */
  id(character) {
    return this.ids.get(character) ?? UNKNOWN;
  }

  encode(text) {
    return Array.from(text, (character) => this.id(character));
  }
}

// See charlstm/text/tidying.py. What it keeps or leaves out by what stands around it is not here:
// such a character counts as one that the model has never seen.
const SPACES = /[\xa0\u1680\u2000-\u200a\u205f]/g;
const INVISIBLE = /[\xad\u2060\ufeff]/g;

/** A text in the form that the training text was brought into. */
function normalised(text, options) {
  text = text.replaceAll(END, "").replace(/\r\n?/g, "\n");
  if (options.line_ends === "unicode") text = text.replace(/[\v\f\x85\u2028\u2029]/g, "\n");
  if (options.tidy) text = text.replace(SPACES, " ").replace(INVISIBLE, "");
  if (options.newline === "space") text = text.replaceAll("\n", " ");
  if (options.normalize) text = text.normalize("NFC");
  return options.letters_only ? lettersOnly(text) : text;
}

/** Lower-case letters and single spaces alone; see charlstm/text/lettering.py. */
function lettersOnly(text) {
  // The last sigma of a word is another letter, and more of the word may be written.
  const small = text.replaceAll("Σ", "σ").toLowerCase();
  return small.replace(/\P{L}+/gu, " ").replace(/^ /, "");
}

/** Each character of a text that the model has never seen, and what it has in its place, if any. */
function strangers(text, vocabulary) {
  const unseen = [...new Set(text)].filter((character) => !vocabulary.has(character));
  return unseen.map((character) => [character, vocabulary.lookalikes.get(character) ?? null]);
}

/**
 * A text as the model reads it.
 * @param {string} text normalised
 * @param {string} unknown "skip" leaves out what it has never seen; "map" reads what is nearest, and
 *   <unk> for what nothing resembles
 */
function asRead(text, vocabulary, unknown) {
  const nearest = new Map(strangers(text, vocabulary));
  const read = (one) => (!nearest.has(one) ? one : unknown === "skip" ? "" : (nearest.get(one) ?? one));
  return Array.from(text, read).join("");
}

/** Quote a character; what does not print is shown by its code point. */
function quoted(text) {
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$/u.test(text)) return `'${text}'`;
  const points = Array.from(text, (one) => one.codePointAt(0).toString(16).toUpperCase());
  return points.map((point) => `U+${point.padStart(4, "0")}`).join(" ");
}

// Letters as people see them, which may be several code points: é, रा, a family of emoji.

const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter("und");
const plain = /^[\n\t -~\u3001-\u3029\u4e00-\u9fff\uff01-\uff5e]*$/;

/** The letters of a text; its code points in a browser that does not know them. */
function letters(text) {
  if (!segmenter || plain.test(text)) return Array.from(text);
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Whether a code point after a letter, or a part of one, belongs to it. */
function joins(letter, character) {
  if (!letter || plain.test(letter + character)) return false;
  return Array.from(letters(letter + character).at(-1)).length > 1;
}

/** Notices where a text ends, and holds back what may not be part of it. */
class Ending {
  /**
   * @param {string} prefix what the text begins with
   * @param {number|null} lines how many it has
   * @param {number|null} most how many letters it has at most, after the prefix
   * @param {boolean} songs whether it may end with its song, and then without its last line break
   * @param {Vocabulary} vocabulary of what may follow
   */
  constructor(prefix, lines, most, songs, vocabulary) {
    this.reached = this.song = false;
    this.lines = lines;
    this.inLine = /[^\s\x1c-\x1f\x85]/.test(prefix.slice(prefix.lastIndexOf("\n") + 1));
    this.songs = songs;
    this.held = "";
    this.most = most;
    this.letter = letters(prefix.slice(prefix.lastIndexOf("\n") + 1)).at(-1) ?? prefix.slice(-1);
    this.vocabulary = vocabulary;
  }

  /** Take the next character; return what is certain to be part of the text by now. */
  push(character) {
    if (character === END) {
      [this.held, this.song] = ["", true];
      return this.rest();
    }
    if (this.isFull(character)) return this.rest();
    let certain = this.certain(character);
    if (this.most === 0 && !this.reached && !this.mayJoin()) certain += this.rest();
    return certain;
  }

  certain(character) {
    if (this.lines !== null) {
      if (character === "\n") {
        this.lines -= this.inLine ? 1 : 0;
        this.inLine = false;
        if (!this.lines) return this.rest();
      } else if (/[^\s\x1c-\x1f\x85]/.test(character)) {
        this.inLine = true;
      }
    }
    // A line break before the end of the song is not part of it.
    const certain = this.held + character;
    this.held = this.songs && character === "\n" ? "\n" : "";
    return this.held ? certain.slice(0, -1) : certain;
  }

  isFull(character) {
    if (this.most === null) return false;
    if (Array.from(this.letter).length < LONGEST && joins(this.letter, character)) {
      this.letter += character;
      return false;
    }
    this.letter = character;
    this.most -= 1;
    return this.most < 0;
  }

  mayJoin() {
    return this.vocabulary.names.some((name, id) => id && joins(this.letter, name));
  }

  /** What was held back: the text has ended. */
  rest() {
    const held = this.held;
    [this.held, this.reached] = ["", true];
    return held;
  }
}
