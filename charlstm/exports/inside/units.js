// The units: which one is shown, what is known of it, and lists of those worth a look.

const exact = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 4, minimumFractionDigits: 4, signDisplay: "exceptZero" });
const signedBits = (bits) => exact.format(bits).replace("-", "−");
const tenths = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
const thousands = new Intl.NumberFormat(LANGUAGE);

/** How many units are listed as those that are needed most. */
const NEEDED = 8;

/** All units, those that are needed most first. */
function byNeed(told) {
  const all = told.needed.flatMap((row, layer) => row.map((bits, unit) => ({ layer, unit, bits })));
  return all.sort((one, other) => other.bits - one.bits);
}

/** A unit's name as a button that shows it. */
function unitButton(layer, unit, choose) {
  const button = document.createElement("button");
  [button.type, button.className, button.textContent] = ["button", "unit", `${layer}.${unit}`];
  button.dataset.unit = `${layer}.${unit}`;
  button.addEventListener("click", () => choose(layer, unit));
  return button;
}

function row(...cells) {
  const element = document.createElement("tr");
  for (const content of cells) {
    const one = element.appendChild(document.createElement("td"));
    one.append(content);
    if (typeof content === "string" && /^[−+-]?[\d.,]+$/.test(content)) one.className = "figure";
  }
  return element;
}

/** Draw the units that follow something, and those that are needed most. */
function drawUnits(told, choose) {
  byId("followed").replaceChildren(
    ...told.followed.map(([thing, layer, unit, correlation, chance]) => {
      const element = row(say(thing), unitButton(layer, unit, choose), number(correlation), number(chance));
      element.classList.toggle("uncertain", Math.abs(correlation) <= chance);
      return element;
    }),
  );
  byId("needed").replaceChildren(
    ...byNeed(told)
      .slice(0, NEEDED)
      .map(({ layer, unit, bits }) => row(unitButton(layer, unit, choose), signedBits(bits))),
  );
  const units = told.layers * told.hidden;
  byId("followed-is").textContent = [
    say("followed-is", { measured: told.measured, n: thousands.format(told.looked_at) }),
    say(2 * told.named < units ? "most-mean-nothing" : "named", { named: thousands.format(told.named), units: thousands.format(units) }),
  ].join(say("space"));
  byId("needed-is").textContent = say("needed-is", { n: thousands.format(told.needed_over) });
}

/** What is known of a unit, in sentences. */
function aboutUnit(told, layer, unit) {
  const sentences = [];
  const remembered = told.remembered?.[layer][unit];
  if (remembered) {
    sentences.push(say("remembers", { n: tenths.format(remembered), count: remembered === 1 ? 1 : 2 }));
  }
  const followed = told.followed.filter(([, of, number]) => of === layer && number === unit);
  if (followed.length) {
    const things = followed.map(([thing, , , correlation, chance]) =>
      say("thing-is", { thing: say(thing), r: number(correlation), chance: number(chance) }),
    );
    sentences.push(say("follows", { things: things.join(say("comma")) }));
  }
  const place = byNeed(told).findIndex((one) => one.layer === layer && one.unit === unit) + 1;
  const values = { bits: signedBits(told.needed[layer][unit]), place: thousands.format(place), units: thousands.format(told.layers * told.hidden) };
  sentences.push(say("off", values));
  return sentences.join(say("space"));
}
