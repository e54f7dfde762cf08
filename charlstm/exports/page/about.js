// What the page says of itself: what it is, what can be told from it, and what it is worth.

/** What it writes with, as sentences. */
function remembered(recall) {
  if (!recall) return [say("network-alone")];
  const { levels, grams, left_out: left } = recall;
  const longest = levels.length;
  if (!longest) return [say("no-grams")];
  const told = [say("remembers", { grams: whole.format(grams), longest }), say("told-by-grams")];
  if (left) told.push(say("left-out", { left: whole.format(left), count: left }));
  return told;
}

/** What the model is worth on text that it has not seen, as sentences. */
function worth(recall, { alone, blend }) {
  const perplexity = recall ? blend : alone;
  const told = [];
  if (perplexity !== null) told.push(say("perplexity", { perplexity: short.format(perplexity) }));
  if (recall && alone !== null) told.push(say("alone", { alone: short.format(alone) }));
  if (recall?.left_out && perplexity !== null) told.push(say("measured-with"));
  return told;
}

/** Put all of it into the page. */
function about(model) {
  const { figures, recall } = model;
  const told = [
    say("offline"),
    say("facts", {
      title: model.title,
      weights: whole.format(figures.weights),
      learned: whole.format(figures.learned),
      known: whole.format(figures.known),
    }),
    ...remembered(recall),
    ...worth(recall, figures),
    say("differs"),
  ];
  if (model.text.tidy) told.push(say("tidied"));
  if (!segmenter) told.push(say("no-letters"));
  for (const sentence of told) {
    byId("about").appendChild(document.createElement("p")).textContent = sentence;
  }
}
