// The page: which unit is shown, which character is pinned, which phrase is chosen.

const byId = (id) => document.getElementById(id);

/** Formulas of the two parts of a new state, by cell. */
const PRODUCTS = {
  lstm: { kept: "f·c", written: "i·g" },
  peephole: { kept: "f·c", written: "i·g" },
  coupled: { kept: "f·c", written: "(1 − f)·g" },
  gru: { kept: "z·h", written: "(1 − z)·n" },
  rnn: {},
};

class Inside {
  constructor(told, bytes) {
    this.told = told;
    this.activations = new Activations(told, bytes);
    this.sheet = new Sheet(byId("text"), told);
    this.lines = this.lineNumbers();
    const [, layer, unit] = told.followed[0] ?? [];
    const most = byNeed(told)[0];
    [this.layer, this.unit] = layer === undefined ? [most.layer, most.unit] : [layer, unit];
    this.shown = told.quantities[0];
    this.pinned = Math.min(this.sheet.letters.length - 1, 8);
    this.phrase = null;
    this.next = null; // the next character whose logit is looked at
  }

  lineNumbers() {
    let line = 1;
    return this.sheet.letters.map(({ ends }) => (ends ? line++ : line));
  }

  /** Draw everything that depends on the unit. */
  drawUnit() {
    const { layer, unit, shown, told } = this;
    const numbers = this.activations.of(layer, unit)[shown];
    const isGate = GATES.has(shown);
    const largest = isGate ? 1 : numbers.reduce((most, one) => Math.max(most, Math.abs(one)), 1e-6);
    this.sheet.shade(numbers, largest, isGate);
    byId("layer").value = layer;
    byId("number").value = unit;
    byId("unit-is").textContent = aboutUnit(told, layer, unit);
    byId("shown-is").textContent = say(`is-${shown}`, { formula: PRODUCTS[told.cell][shown] });
    for (const button of byId("shown").children) {
      button.setAttribute("aria-pressed", String(button.value === shown));
    }
    for (const button of document.querySelectorAll("[data-unit]")) {
      button.setAttribute("aria-pressed", String(button.dataset.unit === `${layer}.${unit}`));
    }
    const key = byId("key");
    key.className = isGate ? "gate" : "both";
    key.dataset.low = isGate ? "0" : number(-largest);
    key.dataset.high = isGate ? "1" : number(largest);
    this.drawCharacter();
  }

  /** Draw everything that depends on the pinned character. */
  drawCharacter() {
    const { told, pinned, layer, unit, shown } = this;
    const letter = this.sheet.letters[pinned];
    const t = letter.to - 1;
    this.sheet.pin(pinned);
    const around = this.sheet.text(pinned - 6, pinned + 1);
    byId("pinned-at").textContent = say("pinned-at", { text: around, line: thousands.format(this.lines[pinned]) });
    drawEquations(this.activations, told, layer, unit, t);
    const came = told.came[t];
    if (this.next === null) this.next = came >= 0 ? came : told.likeliest[t][0];
    drawNext(told, t, this.next, (character) => this.choose(character));
    byId("nothing-came").hidden = t + 1 < told.text.length;
    byId("shares-of").textContent = say("shares", { character: shownCharacter(told.characters[this.next]) });
    drawShares(this.activations, t, this.next, (of, number) => this.show(of, number));
    const value = this.activations.of(layer, unit)[shown][t];
    byId("status").textContent = `${letter.shown}: ${shown} ${layer}.${unit} ${number(value)}`;
  }

  /** Draw what there is to say of the phrase. */
  drawPhrase() {
    const { letters } = this.sheet;
    const [first, end] = this.phrase ?? [0, 0];
    this.sheet.choose(first, end);
    byId("phrase-is").hidden = end > first;
    byId("phrase-found").hidden = end <= first;
    if (end <= first) return;
    const [from, to] = [letters[first].from, letters[end - 1].to];
    const units = unitsOf(this.activations, from, to);
    const text = end - first > 24 ? `${this.sheet.text(first, first + 23)}…` : this.sheet.text(first, end);
    byId("chosen").textContent = say(units.length ? "chosen" : "chosen-none", { text });
    byId("phrase-units").replaceChildren(
      ...units.map(({ layer, unit, high }) => {
        const button = unitButton(layer, unit, (of, number) => this.show(of, number));
        button.textContent = say(high ? "high" : "low", { unit: `${layer}.${unit}` });
        return button;
      }),
    );
    const passages = passagesOf(units, from, to, this.told.text.length);
    byId("passages-are").textContent = passages.length
      ? say("passages", { n: passages[0][2] })
      : say("no-passages");
    byId("passages-are").hidden = !units.length;
    byId("passages").replaceChildren(...passages.map((passage) => this.passage(passage)));
  }

  /** A passage as a button that leads there. */
  passage([from, to]) {
    const [first, end] = [this.sheet.at[from], this.sheet.at[to - 1] + 1];
    const button = document.createElement("button");
    [button.type, button.className] = ["button", "passage"];
    const mark = document.createElement("mark");
    mark.textContent = this.sheet.text(first, end);
    button.append(this.sheet.text(first - 10, first), mark, this.sheet.text(end, end + 10));
    button.addEventListener("click", () => this.pin(first));
    return button;
  }

  /** Show a unit. */
  show(layer, unit) {
    [this.layer, this.unit] = [layer, unit];
    this.drawUnit();
  }

  /** Pin a letter; it comes into view. */
  pin(place) {
    this.pinned = Math.min(Math.max(place, 0), this.sheet.letters.length - 1);
    this.next = null;
    this.drawCharacter();
    this.sheet.spans[this.pinned].scrollIntoView({ block: "nearest" });
  }

  /** Look at the logit of a next character. */
  choose(character) {
    this.next = character;
    this.drawCharacter();
    byId("next").querySelector('[aria-pressed="true"]').focus();
  }

  /** Choose a phrase, from a letter to another; null for none. */
  take(phrase) {
    this.phrase = phrase;
    this.drawPhrase();
  }

  /** Go to a neighbour of the unit, over all layers. */
  step(by) {
    const all = this.told.layers * this.told.hidden;
    const at = (this.layer * this.told.hidden + this.unit + by + all) % all;
    this.show(Math.floor(at / this.told.hidden), at % this.told.hidden);
  }

  /** Make the phrase one letter longer or shorter; the pinned letter is one end of it. */
  extend(by) {
    const [first, end] = this.phrase ?? [this.pinned, this.pinned + 1];
    const last = Math.min(Math.max(end + by, first + 1), this.sheet.letters.length);
    this.take([first, last]);
  }
}

/** Put the words into the page, and what can be chosen. */
function furnish(told) {
  sayAll();
  byId("text").lang = told.language;
  for (const shown of told.quantities) {
    const button = byId("shown").appendChild(document.createElement("button"));
    [button.type, button.value, button.textContent] = ["button", shown, say(shown)];
  }
  for (let layer = 0; layer < told.layers; layer++) byId("layer").add(new Option(layer, layer));
  byId("of-layer").hidden = told.layers === 1;
  byId("number").max = told.hidden - 1;
  const facts = { model: told.model, run: told.run, n: thousands.format(told.text.length), unknown: thousands.format(told.unknown) };
  for (const sentence of [say("facts", facts), say("rounded"), say("threshold"), say("label")]) {
    byId("about").appendChild(document.createElement("p")).textContent = sentence;
  }
}

/** Let what a person does change the page. */
function listen(page) {
  const { told, sheet } = page;
  byId("shown").addEventListener("click", ({ target }) => {
    if (!target.value) return;
    page.shown = target.value;
    page.drawUnit();
  });
  byId("layer").addEventListener("change", ({ target }) => page.show(Number(target.value), page.unit));
  byId("number").addEventListener("input", ({ target }) => {
    const unit = Number(target.value);
    if (target.value !== "" && Number.isInteger(unit) && unit >= 0 && unit < told.hidden) page.show(page.layer, unit);
  });
  byId("previous").addEventListener("click", () => page.step(-1));
  byId("following").addEventListener("click", () => page.step(1));
  byId("text").addEventListener("pointerup", ({ target }) => {
    const selection = getSelection();
    const chosen = selection.isCollapsed ? null : sheet.chosen(selection.getRangeAt(0));
    const clicked = sheet.place(target);
    if (chosen) {
      selection.removeAllRanges();
      page.pin(chosen[0]);
      page.take(chosen);
    } else if (clicked !== null) page.pin(clicked);
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) event.shiftKey ? page.extend(steps[event.key]) : page.pin(page.pinned + steps[event.key]);
    else if (event.key === "ArrowUp") page.step(-1);
    else if (event.key === "ArrowDown") page.step(1);
    else if (event.key === "Escape") page.take(null);
    else return;
    event.preventDefault();
  });
  night.addEventListener("change", () => page.drawUnit());
}

document.addEventListener("DOMContentLoaded", () => {
  const told = JSON.parse(byId("told").textContent);
  furnish(told);
  try {
    globalThis.page = new Inside(told, unpacked(byId("bytes").textContent));
  } catch (problem) {
    byId("trouble").textContent = say("broken", { problem: problem.message });
    return;
  }
  byId("bytes").remove();
  drawUnits(told, (layer, unit) => page.show(layer, unit));
  page.drawUnit();
  page.drawPhrase();
  listen(page);
  document.documentElement.dataset.ready = "";
});
