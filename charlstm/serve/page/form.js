// What lines are asked to be: the form, and behind one fold how freely they are written.

import { el } from "./dom.js";
import { shownFigure } from "./figures.js";
import { t } from "./strings.js";

/** What a song begins with. */
export const PLAIN = {
  temperature: 0.8,
  recall: null,
  max_copy: 0,
  lines: null,
  line_length: "",
  rhyme: "",
  acrostic: "",
  acrostic_end: "",
  must: [],
  label: {},
};

/**
 * Make the form panel.
 * @param {{labels: Object<string, string[]>, is_kept: boolean, recall: number}} run
 * @param {(settings: Object) => void} onChange
 */
export function formPanel(run, onChange) {
  let settings = { ...PLAIN };
  const fields = new Map();
  const change = (name, value) => {
    settings = { ...settings, [name]: value };
    sayRest();
    onChange(settings);
  };
  const text = (name, properties = {}) => {
    const input = el("input", {
      id: `form-${name}`,
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      ...properties,
    });
    listen(input, () => change(name, input.value.trim()));
    fields.set(name, (value) => (input.value = value ?? ""));
    return input;
  };
  const number = (name, none, properties) => {
    const input = el("input", {
      id: `form-${name}`,
      type: "number",
      inputmode: "numeric",
      ...properties,
    });
    listen(input, () =>
      change(name, input.value === "" ? none : Math.max(0, Math.round(Number(input.value)))),
    );
    fields.set(name, (value) => (input.value = value || ""));
    return input;
  };
  const must = el("input", {
    id: "form-must",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
  });
  listen(must, () =>
    change(
      "must",
      must.value
        .split(/[,，、;；]/)
        .map((word) => word.trim())
        .filter(Boolean),
    ),
  );
  fields.set("must", (value) => (must.value = (value ?? []).join(t("comma"))));

  const schemes = el(
    "datalist",
    { id: "schemes" },
    ...["AABB", "ABAB", "AABA", "AAAA", "ABBA"].map((value) => el("option", { value })),
  );
  const labels = Object.entries(run.labels ?? {}).map(([name, values]) => {
    const select = el(
      "select",
      { id: `label-${name}` },
      el("option", { value: "" }, t("any")),
      ...values.map((value) => el("option", { value }, value)),
    );
    select.addEventListener("change", () => {
      const label = { ...settings.label };
      if (select.value) label[name] = select.value;
      else delete label[name];
      change("label", label);
    });
    fields.set(`label ${name}`, () => (select.value = settings.label?.[name] ?? ""));
    return field(`label-${name}`, name, select);
  });
  const copy = number("max_copy", 0, {
    min: 0,
    max: 99,
    placeholder: t("any-length"),
    disabled: !run.is_kept,
  });
  const rest = el("span", { class: "soft" });

  const temperature = slider("temperature", { min: 0, max: 2, step: 0.05 }, (value) =>
    change("temperature", value),
  );
  fields.set("temperature", (value) => temperature.show(value ?? PLAIN.temperature));
  const recall = slider("recall", { min: 0, max: 1, step: 0.05 }, (value) => {
    auto.checked = false;
    change("recall", value);
  });
  const auto = el("input", { type: "checkbox", id: "form-auto" });
  auto.addEventListener("change", () => {
    change("recall", auto.checked ? null : Number(recall.input.value));
    if (auto.checked) recall.show(run.recall);
  });
  fields.set("recall", (value) => {
    auto.checked = value === null || value === undefined;
    recall.show(value ?? run.recall);
  });

  const summary = el("summary", {}, el("h2", {}, t("form")), rest);
  const element = el(
    "details",
    { class: "panel forming" },
    summary,
    el(
      "div",
      { class: "fields" },
      field(
        "form-lines",
        t("form-lines"),
        number("lines", null, { min: 1, max: 999, placeholder: t("any-number") }),
      ),
      field(
        "form-line_length",
        t("form-length"),
        text("line_length", { placeholder: t("example-length"), inputmode: "text" }),
      ),
      field(
        "form-rhyme",
        t("form-rhyme"),
        text("rhyme", { placeholder: "AABB", list: "schemes", autocapitalize: "characters" }),
        schemes,
      ),
      field("form-max_copy", t("form-copy"), copy),
      field("form-acrostic", t("form-acrostic"), text("acrostic", { dir: "auto" })),
      field("form-acrostic_end", t("form-acrostic-end"), text("acrostic_end", { dir: "auto" })),
      field(
        "form-must",
        t("form-must"),
        must,
        el("p", { class: "soft hint" }, t("form-must-hint")),
      ),
      ...labels,
    ),
    run.is_kept ? null : el("p", { class: "soft" }, t("no-copies-kept")),
    el(
      "details",
      { class: "fold" },
      el("summary", {}, t("form-more")),
      temperature.element,
      el("p", { class: "soft hint" }, t("temperature-is")),
      recall.element,
      el("label", { class: "check" }, auto, t("recall-auto")),
      el("p", { class: "soft hint" }, t("recall-is")),
    ),
  );
  const sayRest = () => (rest.textContent = shortForm(settings));
  return {
    element,
    /** Mark the field that asks for what cannot be; nothing marks none. */
    blame(name) {
      for (const input of element.querySelectorAll("input")) {
        const blamed = name !== null && input.id === `form-${name}`;
        if (blamed) {
          input.setAttribute("aria-invalid", "true");
          input.setAttribute("aria-describedby", "proposals-note");
        } else {
          input.removeAttribute("aria-invalid");
          input.removeAttribute("aria-describedby");
        }
      }
    },
    get settings() {
      return settings;
    },
    /** Show the settings of another song. */
    show(told) {
      settings = { ...PLAIN, ...told };
      for (const [name, put] of fields) put(settings[name]);
      sayRest();
    },
  };
}

// A change counts when one stops typing, and not while an input method composes.
function listen(input, onChange) {
  input.addEventListener("input", (event) => {
    if (!event.isComposing) onChange();
  });
  input.addEventListener("compositionend", onChange);
}

function field(id, label, ...inputs) {
  return el("div", { class: "field" }, el("label", { for: id }, label), ...inputs);
}

function slider(name, range, onChange) {
  const input = el("input", { id: `form-${name}`, type: "range", ...range });
  const value = el("output", { for: `form-${name}` });
  const show = (number) => {
    input.value = number;
    value.textContent = shownFigure(Number(number), 2);
  };
  input.addEventListener("input", () => {
    value.textContent = shownFigure(Number(input.value), 2);
    onChange(Number(input.value));
  });
  const element = el(
    "div",
    { class: "slider" },
    el("label", { for: `form-${name}` }, t(`form-${name}`)),
    input,
    value,
  );
  return { element, input, show };
}

/**
 * Say a form in one line.
 * @param {Object} settings
 */
export function shortForm(settings) {
  const said = [];
  if (settings.lines) said.push(t("n-lines", { n: settings.lines }));
  if (settings.line_length) said.push(t("short-length", { n: settings.line_length }));
  if (settings.rhyme) said.push(settings.rhyme);
  if (settings.acrostic) said.push(`${settings.acrostic}…`);
  if (settings.acrostic_end) said.push(`…${settings.acrostic_end}`);
  if (settings.must?.length) said.push(settings.must.join(t("comma")));
  if (settings.max_copy) said.push(t("short-copy", { n: settings.max_copy }));
  said.push(...Object.values(settings.label ?? {}));
  return said.join(" · ") || t("free");
}
