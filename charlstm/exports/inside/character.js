// One character, pinned: the equations of its step in numbers, and what comes next by whom.

const figure = new Intl.NumberFormat(LANGUAGE, {
  maximumFractionDigits: 2,
  minimumFractionDigits: 2,
  signDisplay: "negative",
});
/** A number in an equation; negative ones in brackets where they are multiplied. */
const number = (x) => figure.format(x).replace("-", "−");
const factor = (x) => (number(x).startsWith("−") ? `(${number(x)})` : number(x));

/** What the step of each cell computes: a letter, what it is, and the same in numbers, if it has. */
const EQUATIONS = {
  lstm: (x, v, c) => [
    ...gates(x, "if"),
    ["g", `tanh(${number(x.g)})`],
    ...gates(x, "o"),
    ["c", "f·c + i·g", `${factor(v.f)}·${factor(c)} + ${factor(v.i)}·${factor(v.g)}`],
    ["h", "o·tanh(c)", `${factor(v.o)}·${factor(Math.tanh(v.c))}`],
  ],
  coupled: (x, v, c) => [
    ...gates(x, "f"),
    ["g", `tanh(${number(x.g)})`],
    ...gates(x, "o"),
    ["c", "f·c + (1 − f)·g", `${factor(v.f)}·${factor(c)} + ${factor(1 - v.f)}·${factor(v.g)}`],
    ["h", "o·tanh(c)", `${factor(v.o)}·${factor(Math.tanh(v.c))}`],
  ],
  gru: (x, v, h) => [
    ...gates(x, "rz"),
    ["n", `tanh(${number(x.n)})`],
    ["h", "(1 − z)·n + z·h", `${factor(1 - v.z)}·${factor(v.n)} + ${factor(v.z)}·${factor(h)}`],
  ],
  rnn: (x) => [["h", `tanh(${number(x.h)})`]],
};
EQUATIONS.peephole = EQUATIONS.lstm;

function gates(x, letters) {
  return Array.from(letters, (letter) => [letter, `σ(${number(x[letter])})`]);
}

/** What is in the brackets of σ and tanh, by cell. */
const INSIDE = {
  lstm: "a + U h + b",
  peephole: "a + U h + b + p c",
  coupled: "a + U h + b",
  gru: "a + U h + b; n: a + r (U h + b)",
  rnn: "a + U h + b",
};

/** Draw the equations of a unit's step. */
function drawEquations(activations, told, layer, unit, t) {
  const at = (arrays) => Object.fromEntries(Object.entries(arrays).map(([name, of]) => [name, of[t]]));
  const all = activations.of(layer, unit);
  const before = told.begins.includes(t) ? 0 : all[activations.memory][t - 1];
  const now = at(all);
  const rows = EQUATIONS[told.cell](at(activations.stored(layer, unit)), now, before);
  byId("equations").replaceChildren(
    ...rows.flatMap(([letter, ...ways]) =>
      ways.flatMap((way, k) => {
        const right = cell("right", `= ${way}`);
        if (k === ways.length - 1) right.append(cell("result", ` = ${number(now[letter])}`));
        return [cell("letter", k ? "" : letter), right];
      }),
    ),
  );
  byId("inside-is").textContent = say("inside-is", { sum: INSIDE[told.cell] });
}

function cell(name, text) {
  const element = document.createElement("span");
  [element.className, element.textContent] = [name, text];
  return element;
}

/** Draw the likeliest next characters, and what came; `choose` is told of one that is clicked. */
function drawNext(told, t, chosen, choose) {
  const likeliest = told.likeliest[t];
  const probabilities = told.probabilities[t];
  const came = told.came[t];
  const rows = likeliest.map((character, k) => [character, probabilities[k]]);
  if (came >= 0 && !likeliest.includes(came)) rows.push([came, probabilities.at(-1)]);
  byId("next").replaceChildren(
    ...rows.map(([character, probability]) => {
      const button = document.createElement("button");
      [button.type, button.className] = ["button", "bar"];
      button.setAttribute("aria-pressed", String(character === chosen));
      button.style.setProperty("--share", probability);
      button.append(
        cell("what", shownCharacter(told.characters[character])),
        cell("figure", percent.format(probability)),
        cell("note", character === came ? say("came") : ""),
      );
      button.addEventListener("click", () => choose(character));
      return button;
    }),
  );
}

const percent = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 1, minimumFractionDigits: 1 });

/** A character where it stands alone. */
function shownCharacter(character) {
  return { "\n": "⏎", " ": "␣", "\t": "⇥", "\u3000": "　␣" }[character] ?? character;
}

/** Draw which units speak for a character and which against it; `choose` is told of one. */
function drawShares(activations, t, character, choose) {
  const layer = activations.layers.length - 1;
  const shares = Array.from(activations.shares(t, character), (share, unit) => [share, unit]);
  shares.sort(([one], [other]) => Math.abs(other) - Math.abs(one));
  const most = shares.slice(0, 10);
  const largest = Math.abs(most[0][0]) || 1;
  byId("shares").replaceChildren(
    ...most.map(([share, unit]) => {
      const button = document.createElement("button");
      [button.type, button.className] = ["button", `bar ${share < 0 ? "against" : "for"}`];
      button.style.setProperty("--share", Math.abs(share) / largest);
      const sum = (share < 0 ? "" : "+") + number(share);
      button.append(cell("what", `${layer}.${unit}`), cell("figure", sum));
      button.addEventListener("click", () => choose(layer, unit));
      return button;
    }),
  );
}
