// The text as letters that people see, each with a colour of its own.

/** The letters of a text: what is shown of each, and where it lies, up to `to`. */
function letters(told) {
  const found = [];
  const marks = new Set([told.end, told.label]);
  let from = 0;
  for (const piece of parts(told.text)) {
    const to = from + Array.from(piece).length;
    const shown = piece === "\n" ? "⏎" : piece;
    found.push({ shown, from, to, aside: piece === "\n" || marks.has(piece), ends: piece === "\n" || piece === told.end });
    from = to;
  }
  return found;
}

/** A text cut into letters; where a browser cannot, into characters. */
function parts(characters) {
  const text = characters.join("");
  if (typeof Intl.Segmenter !== "function") return Array.from(text);
  const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Colours that those who see no red or no green can tell apart, by day and by night. */
const PAINTS = {
  light: { high: [240, 150, 40], low: [88, 158, 232], gate: [66, 158, 150] },
  dark: { high: [146, 80, 8], low: [38, 96, 168], gate: [24, 112, 106] },
};
const night = matchMedia("(prefers-color-scheme: dark)");

/** The background of a number from -1 to 1, or of a gate from 0 to 1. */
function paint(number, isGate) {
  const paints = PAINTS[night.matches ? "dark" : "light"];
  const color = isGate ? paints.gate : number < 0 ? paints.low : paints.high;
  return `rgb(${color.join(" ")} / ${Math.min(Math.abs(number), 1).toFixed(3)})`;
}

class Sheet {
  /**
   * @param {HTMLElement} element where the text stands
   * @param {object} told what the page tells
   */
  constructor(element, told) {
    [this.element, this.letters] = [element, letters(told)];
    this.at = new Int32Array(told.text.length); // of each character, its letter
    this.spans = [];
    let line = this.line();
    this.letters.forEach((letter, place) => {
      this.at.fill(place, letter.from, letter.to);
      const span = line.appendChild(document.createElement("span"));
      span.textContent = letter.shown;
      if (letter.aside) span.className = "aside";
      span.dataset.place = place;
      this.spans.push(span);
      if (letter.ends && place + 1 < this.letters.length) line = this.line();
    });
  }

  line() {
    const line = this.element.appendChild(document.createElement("p"));
    line.dir = "auto"; // each line has a direction of its own
    return line;
  }

  /** Colour each letter by a number of its last character; `largest` has the full colour. */
  shade(numbers, largest, isGate) {
    this.letters.forEach(({ to }, place) => {
      this.spans[place].style.backgroundColor = paint(numbers[to - 1] / largest, isGate);
    });
  }

  /** Mark the letter that is pinned. */
  pin(place) {
    this.element.querySelector(".pinned")?.classList.remove("pinned");
    this.spans[place].classList.add("pinned");
  }

  /** Mark the letters from one to before another. */
  choose(from, to) {
    this.spans.forEach((span, place) => span.classList.toggle("chosen", place >= from && place < to));
  }

  /** The letters that are wholly in a range, from one to before another; null if none is. */
  chosen(range) {
    const [from, to] = [this.place(range.startContainer), this.place(range.endContainer)];
    if (from === null || to === null) return null;
    // A caret stands before the letter that it is in, or behind it.
    const first = range.startOffset ? from + 1 : from;
    const end = range.endOffset ? to + 1 : to;
    return end > first ? [first, end] : null;
  }

  /** The text of some letters, on one line. */
  text(from, to) {
    return this.letters.slice(Math.max(from, 0), to).map(({ shown }) => shown).join("");
  }

  /** The place of a letter on the page; null for what is none. */
  place(node) {
    const span = (node?.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.("[data-place]");
    return span && this.element.contains(span) ? Number(span.dataset.place) : null;
  }
}
