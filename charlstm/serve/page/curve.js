// The curve of a training: what the model expects of its text, and of text held out, over time.

import { el, svg } from "./dom.js";
import { shownDuration, shownFigure } from "./figures.js";
import { t } from "./strings.js";

const HEIGHT = 260;
const LEFT = 44;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 30;
// Distances of the marks below, in seconds; up to a day and a half.
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 36_000];

/**
 * Make a drawing that follows a training.
 * @returns {{element: HTMLElement, draw: (history: Object[]) => void}}
 */
export function curve() {
  const figure = el("div", { class: "curve" });
  const legend = el(
    "p",
    { class: "legend" },
    el("span", { class: "key held-out" }, t("held-out-loss")),
    el("span", { class: "key training" }, t("training-loss")),
  );
  const element = el("figure", { class: "curve-figure" }, figure, legend);
  let history = [];
  const redraw = () => figure.replaceChildren(drawn(history, figure.clientWidth || 600));
  new ResizeObserver(redraw).observe(figure);
  const draw = (told) => {
    history = told;
    redraw();
  };
  return { element, draw };
}

function drawn(history, width) {
  const training = points(history, "training_loss");
  const held = points(history, "validation_loss");
  const all = [...training, ...held];
  const drawing = svg("svg", {
    width,
    height: HEIGHT,
    viewBox: `0 0 ${width} ${HEIGHT}`,
    role: "img",
  });
  if (!all.length) {
    drawing.setAttribute("aria-label", t("no-curve-yet"));
    drawing.append(
      svg(
        "text",
        { x: width / 2, y: HEIGHT / 2, class: "empty", "text-anchor": "middle" },
        t("no-curve-yet"),
      ),
    );
    return drawing;
  }
  const last = held.at(-1) ?? training.at(-1);
  drawing.setAttribute(
    "aria-label",
    t("curve-says", {
      time: shownDuration(last[0]),
      held: shownFigure(held.at(-1)?.[1], 2),
      training: shownFigure(training.at(-1)?.[1], 2),
    }),
  );
  const most = Math.max(...all.map(([seconds]) => seconds), 1);
  const losses = all.map(([, loss]) => loss);
  const [low, high, step] = rounded(Math.min(...losses), Math.max(...losses));
  const x = (seconds) => LEFT + (seconds / most) * (width - LEFT - RIGHT);
  const y = (loss) => TOP + ((high - loss) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  for (let loss = low; loss <= high + step / 2; loss += step) {
    drawing.append(
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(loss), y2: y(loss), class: "grid" }),
      svg(
        "text",
        { x: LEFT - 8, y: y(loss) + 4, class: "tick", "text-anchor": "end" },
        shownFigure(loss, step < 0.1 ? 2 : 1),
      ),
    );
  }
  const each = STEPS.find((seconds) => most / seconds <= (width > 480 ? 4 : 2)) ?? most;
  for (let seconds = 0; seconds <= most; seconds += each) {
    // A label that would reach beyond the drawing ends with it.
    const anchor = seconds === 0 ? "start" : width - x(seconds) < 40 ? "end" : "middle";
    const said = seconds ? shownDuration(seconds) : "0";
    drawing.append(
      svg("text", { x: x(seconds), y: HEIGHT - 8, class: "tick", "text-anchor": anchor }, said),
    );
  }
  drawing.append(path(training, x, y, "line training"), path(held, x, y, "line held-out"));
  for (const [seconds, loss] of held.length > 60 ? held.slice(-1) : held) {
    drawing.append(svg("circle", { cx: x(seconds), cy: y(loss), r: 3, class: "dot" }));
  }
  return drawing;
}

function points(history, name) {
  const known = history.filter((entry) => Number.isFinite(entry[name]));
  return known.map((entry) => [entry.seconds, entry[name]]);
}

function path(of, x, y, kind) {
  const steps = of.map(([seconds, loss], place) => {
    return `${place ? "L" : "M"}${x(seconds).toFixed(1)} ${y(loss).toFixed(1)}`;
  });
  return svg("path", { d: steps.join("") || "M0 0", class: kind });
}

// Ends of the axis on round figures, and the distance of its lines.
function rounded(lowest, highest) {
  const span = Math.max(highest - lowest, 0.4);
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  return [Math.floor(lowest / step) * step, Math.ceil(highest / step) * step, step];
}
