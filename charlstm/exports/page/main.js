// The page: what is asked for, the song as it is written, and what is told of both.

const byId = (id) => document.getElementById(id);
// So long the page writes before it draws itself, in milliseconds.
const SLICE = 12;
const LARGEST = 1_000_000;
const DEFAULT_LINES = 8;

/** What the page has of the model beside its weights. */
function described() {
  const model = JSON.parse(byId("model").textContent);
  model.vocabulary = new Vocabulary(model);
  return model;
}

/** Unpack the weights, and what is remembered, which takes a moment. */
function unpack(model) {
  const network = new Network(model, halves(taken("weights")));
  const { recall } = model;
  model.network = recall ? new Blend(network, recall, unpackedGrams(recall, network.size)) : network;
}

/** The n-gram model of the training text; null where the run keeps none. */
function unpackedGrams({ levels, unpredicted }, size) {
  return levels.length ? new NGram(levels, new Packed(taken("grams")), size, new Set(unpredicted)) : null;
}

/** What an element of the page holds, which need not be held twice. */
function taken(id) {
  const element = byId(id);
  element.remove();
  return element.textContent;
}

/** Let the page be drawn, and what was pressed be heard, also where nobody looks at it. */
function pause() {
  return new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });
}

/** Say what a person did otherwise than it can be. */
class Mistake extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

/** What was typed for a number: a Chinese keyboard may give wide digits. */
function typed(id) {
  return byId(id).value.normalize("NFKC").trim();
}

/** A whole number that was typed, from 1. */
function wholeNumber(id) {
  const number = Number(typed(id));
  if (/^\d+$/.test(typed(id)) && number >= 1 && number <= LARGEST) return number;
  throw new Mistake(say("whole", { name: say(id), most: whole.format(LARGEST) }), byId(id));
}

/** The seed that was typed, or a fresh one. */
function seed() {
  const given = typed("seed");
  if (!given) return freshSeed();
  if (/^\d{1,40}$/.test(given)) return given;
  throw new Mistake(say("no-seed", { name: say("seed") }), byId("seed"));
}

/** What the model reads otherwise than it was given; "" if nothing. */
function changes(unseen, unknown) {
  if (!unseen.length) return "";
  const listed = (key, all) => all.length && say(key, { characters: all.join(say("comma")) });
  const only = (these) => these.map(([character]) => quoted(character));
  const near = unseen.filter(([, instead]) => instead !== null);
  const far = unseen.filter(([, instead]) => instead === null);
  const as = ([character, instead]) => say("as", { character: quoted(character), near: quoted(instead) });
  const parts =
    unknown === "skip"
      ? [listed("skipped", only(unseen))]
      : [listed("mapped", near.map(as)), listed("unread", only(far))];
  return say("changed", { changes: parts.filter(Boolean).join(say("and-it")) });
}

/** What is to be written, with everything checked. */
function wish(model) {
  const prefix = normalised(byId("prefix").value, model.text);
  const unknown = byId("unknown").value;
  const unseen = strangers(prefix, model.vocabulary);
  if (unseen.length && unknown === "error") {
    const characters = unseen
      .map(([one, near]) =>
        near === null ? quoted(one) : say("has", { character: quoted(one), near: quoted(near) }),
      )
      .join(say("comma"));
    throw new Mistake(say("unseen", { characters }), byId("prefix"));
  }
  const measure = byId("measure").value;
  return {
    prefix,
    read: asRead(prefix, model.vocabulary, unknown),
    notice: changes(unseen, unknown),
    labels: model.labels.map((_, place) => Number(byId(`label-${place}`).value)),
    lines: measure === "lines" ? wholeNumber("number") : null,
    most: measure === "characters" ? wholeNumber("number") : null,
    temperature: Number(byId("temperature").value),
    topP: Number(byId("top-p").value),
    seed: seed(),
  };
}

/** Writes one song at a time into the page. */
class Desk {
  constructor(model) {
    this.model = model;
    this.stopping = false;
    this.busy = false;
  }

  async write() {
    if (this.busy) return;
    for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    byId("trouble").textContent = "";
    let asked;
    try {
      asked = wish(this.model);
    } catch (mistake) {
      if (!(mistake instanceof Mistake)) throw mistake;
      byId("trouble").textContent = mistake.message;
      mistake.field.setAttribute("aria-invalid", "true");
      mistake.field.focus();
      byId("trouble").scrollIntoView({ block: "nearest" });
      return;
    }
    this.begin(asked);
    const { ended, count, seconds } = await this.run(asked);
    this.end();
    const speed = whole.format(count / Math.max(seconds, 0.001));
    const told = [say("done", { n: whole.format(count), count, speed, seed: asked.seed })];
    if (this.stopping) told.unshift(say("stopped"));
    else if (ended) told.push(say("ended"));
    const none = this.stopping ? "stopped" : ended ? "at-once" : "nothing";
    this.follow(() => {
      byId("told").textContent = count ? told.join(say("space")) : say(none, { seed: asked.seed });
    });
  }

  begin(asked) {
    [this.busy, this.stopping] = [true, false];
    const toStop = document.activeElement === byId("write");
    byId("stop").hidden = false;
    if (toStop) byId("stop").focus({ preventScroll: true });
    byId("write").disabled = true;
    byId("copy").hidden = true;
    byId("empty").hidden = true;
    byId("notice").textContent = asked.notice;
    byId("given").textContent = asked.prefix;
    byId("written").textContent = "";
    byId("song").setAttribute("aria-busy", "true");
    byId("told").textContent = say(asked.read.length > DECIDES ? "reading" : "writing");
    const { top, bottom } = byId("sheet").getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) byId("sheet").scrollIntoView({ block: "start" });
  }

  end() {
    this.busy = false;
    const toWrite = document.activeElement === byId("stop");
    byId("write").disabled = false;
    if (toWrite) byId("write").focus({ preventScroll: true });
    byId("stop").hidden = true;
    byId("copy").hidden = byId("copy").disabled = false;
    byId("song").removeAttribute("aria-busy");
  }

  /** Write, in slices; the time counts from the first character on. */
  async run(asked) {
    const song = byId("written");
    const text = song.appendChild(new Text());
    const steps = writing(this.model, asked);
    let [waiting, count, began, ended] = ["", 0, null, false];
    let until = performance.now() + SLICE;
    while (!this.stopping) {
      const { value, done } = steps.next();
      if (done) {
        ended = value;
        break;
      }
      if (value) {
        if (began === null) byId("told").textContent = say("writing");
        began ??= performance.now();
        count += Array.from(value).length;
        waiting += value;
      }
      if (performance.now() < until) continue;
      this.follow(() => text.appendData(waiting));
      waiting = "";
      await pause();
      until = performance.now() + SLICE;
    }
    this.follow(() => text.appendData(waiting));
    return { ended, count, seconds: (performance.now() - (began ?? performance.now())) / 1000 };
  }

  /** Change the end of the song; whoever looks at it goes on looking at it. */
  follow(change) {
    const told = byId("told");
    const seen = told.getBoundingClientRect().top <= innerHeight;
    change();
    if (seen) told.scrollIntoView({ block: "nearest" });
  }

  stop() {
    this.stopping = this.busy || this.stopping;
  }

  async copy() {
    const text = byId("given").textContent + byId("written").textContent;
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A browser may keep its clipboard from files, but not from what is selected.
      getSelection().selectAllChildren(byId("song"));
      done = document.execCommand("copy");
      if (done) getSelection().removeAllRanges();
    }
    byId("told").textContent = say(done ? "copied" : "not-copied");
  }
}

/** Put the words of the page and the settings of this model into it. */
function furnish(model) {
  sayAll();
  byId("seed").placeholder = say("random");
  for (const id of ["song", "prefix"]) byId(id).lang = model.language;
  const measures = [...(model.songs ? ["song"] : []), "characters"];
  if (model.vocabulary.has("\n")) measures.splice(-1, 0, "lines");
  for (const measure of measures) byId("measure").add(new Option(say(measure), measure));
  // As on the command line: a song, or so many characters.
  byId("measure").value = model.songs ? "song" : "characters";
  const measured = () => {
    const measure = byId("measure").value;
    byId("counting").hidden = measure === "song";
    byId("number").value = { song: "", lines: DEFAULT_LINES, characters: model.letters }[measure];
  };
  byId("measure").addEventListener("change", measured);
  measured();
  for (const id of ["temperature", "top-p"]) {
    const shown = () => {
      document.querySelector(`output[for=${id}]`).value = short.format(byId(id).value);
    };
    byId(id).addEventListener("input", shown);
    shown();
  }
  model.labels.forEach(({ name, none, values }, place) => {
    const field = document.createElement("div");
    field.className = "field";
    const label = field.appendChild(document.createElement("label"));
    [label.textContent, label.htmlFor] = [name, `label-${place}`];
    const choice = field.appendChild(document.createElement("select"));
    choice.id = `label-${place}`;
    choice.add(new Option(say("none"), none));
    for (const [value, id] of values) choice.add(new Option(value, id));
    byId("unknown").parentElement.before(field);
  });
  about(model);
}

document.addEventListener("DOMContentLoaded", async () => {
  globalThis.model = described();
  furnish(model);
  byId("told").textContent = say("loading");
  await pause();
  try {
    unpack(model);
  } catch (problem) {
    byId("told").textContent = "";
    byId("trouble").textContent = say("broken", { problem: problem.message });
    return;
  }
  byId("told").textContent = "";
  const desk = new Desk(model);
  byId("wish").addEventListener("submit", (event) => {
    event.preventDefault();
    desk.write();
  });
  byId("stop").addEventListener("click", () => desk.stop());
  byId("copy").addEventListener("click", () => desk.copy());
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") desk.stop();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      desk.write();
    }
  });
  byId("write").disabled = false;
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});
