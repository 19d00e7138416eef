// One native control for one simple value.
//
// A control is {element, input, get(), set(value), check(isUsed)}: `get` gives undefined
// for what is no value; `check` has the browser say what is wrong, if the control is used.

import { h } from "./dom.js";
import { numberProblem, textProblem } from "./fits.js";
import { compact, isNumber, numberFrom, parse, pretty, same } from "./json.js";

const NATIVE = new Set(["date", "time"]);

export function makeControl(field, id) {
  return MAKERS[field.kind](field, id);
}

const MAKERS = {
  text: (field, id) => {
    if (field.format === "datetime") return momentControl(field, id);
    if (field.format === "text" && !field.schema.format && !field.schema.pattern) {
      return plainTextControl(field, id);
    }
    return lineControl(field, id);
  },
  number: numberControl,
  boolean: booleanControl,
  choice: choiceControl,
  json: jsonControl,
};

/** Text of any length: Enter sends the form, Shift+Enter begins a line. */
function plainTextControl(field, id) {
  const input = h("textarea", { id, rows: 1, class: "plain", spellcheck: "false" });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    input.form?.requestSubmit();
  });
  return textual(field, input);
}

function lineControl(field, id) {
  const { schema, format } = field;
  const input = h("input", {
    id,
    type: format,
    step: format === "time" ? 1 : null,
    placeholder: PLACEHOLDERS.get(schema.format),
    minlength: schema.minLength,
    maxlength: schema.maxLength,
    autocomplete: "off",
    spellcheck: "false",
  });
  const control = textual(field, input);
  if (!NATIVE.has(format)) return control;
  return {
    ...control,
    get: () => (input.value === "" ? undefined : input.value),
    set: (value) => setMoment(input, value),
    check: (isUsed) => {
      input.required = isUsed;
      input.setCustomValidity("");
    },
  };
}

const PLACEHOLDERS = new Map([
  ["uuid", "00000000-0000-0000-0000-000000000000"],
  ["duration", "PT1H30M"],
  ["decimal", "12.50"],
  ["email", "name@example.org"],
  ["uri", "https://"],
]);

function textual(field, input) {
  return {
    element: input,
    input,
    get: () => input.value,
    set: (value) => (input.value = value ?? ""),
    check: (isUsed) => {
      input.required = isUsed && field.required;
      const isEmpty = input.required && input.value === "";
      input.setCustomValidity(isUsed && !isEmpty ? textProblem(field, input.value) : "");
    },
  };
}

/** A browser that cannot show a moment as such shows its text. */
function setMoment(input, value) {
  const wanted = value ?? "";
  input.value = wanted;
  if (wanted === "" || input.value !== "") return;
  input.type = "text";
  input.value = wanted;
}

const MOMENT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?$/i;

/** A day and a time, and how far that clock is from UTC. */
function momentControl(_field, id) {
  const input = h("input", { id, type: "datetime-local", step: 1 });
  const offset = h("select", { "aria-label": "Offset from UTC" });
  const offer = (value) => {
    if (![...offset.options].some((option) => option.value === value)) {
      offset.append(h("option", { value }, value === "" ? "no offset" : value));
    }
    offset.value = value;
  };
  for (const value of ["", "Z", localOffset(new Date())]) offer(value);
  const fitOffset = () => {
    const day = new Date(input.value);
    if (!Number.isNaN(day.getTime()) && offset.value !== "" && !offset.dataset.chosen) {
      offer(localOffset(day)); // summer and winter differ
    }
  };
  input.addEventListener("input", fitOffset);
  offset.addEventListener("change", () => (offset.dataset.chosen = "yes"));
  return {
    element: h("div", { class: "moment" }, input, offset),
    input,
    get: () => (input.value === "" ? undefined : withSeconds(input.value) + offset.value),
    set: (value) => {
      const parts = MOMENT.exec(value ?? "");
      offset.hidden = parts === null && Boolean(value);
      if (parts !== null) {
        offset.dataset.chosen = "yes";
        offer((parts[3] ?? "").toUpperCase());
      } else if (offset.hidden) {
        offer("");
      }
      setMoment(input, parts === null ? value : `${parts[1]}T${parts[2]}`);
    },
    check: (isUsed) => (input.required = isUsed),
  };
}

function withSeconds(text) {
  return /T\d\d:\d\d$/.test(text) ? `${text}:00` : text;
}

function localOffset(moment) {
  const minutes = -moment.getTimezoneOffset();
  const pad = (number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${pad(minutes / 60)}:${pad(minutes % 60)}`;
}

function numberControl(field, id) {
  const { minimum, maximum } = field.schema;
  const input = h("input", {
    id,
    type: "number",
    step: field.integer ? 1 : "any",
    min: minimum,
    max: maximum,
    inputmode: field.integer ? "numeric" : "decimal",
    autocomplete: "off",
  });
  // A wheel over a focused field would change the number that is sent.
  input.addEventListener("wheel", (event) => event.preventDefault(), { passive: false });
  return {
    element: input,
    input,
    get: () => numberFrom(input.value),
    set: (value) => (input.value = isNumber(value) ? JSON.stringify(value) : ""),
    check: (isUsed) => {
      input.required = isUsed;
      const number = numberFrom(input.value);
      const problem = number === undefined ? "" : numberProblem(field, number);
      input.setCustomValidity(isUsed ? problem : "");
    },
  };
}

function booleanControl(_field, id) {
  const input = h("input", { id, type: "checkbox" });
  const word = h("span", { "aria-hidden": "true" });
  const show = () => (word.textContent = String(input.checked));
  input.addEventListener("input", show);
  show();
  return {
    element: h("div", { class: "boolean" }, input, word),
    input,
    get: () => input.checked,
    set: (value) => {
      input.checked = value === true;
      show();
    },
    check: () => {},
  };
}

function choiceControl(field, id) {
  const options = field.choices.map((value, index) =>
    h("option", { value: index }, typeof value === "string" ? value : compact(value)),
  );
  const input = h("select", { id }, ...options);
  return {
    element: input,
    input,
    get: () => field.choices[input.selectedIndex],
    set: (value) => {
      const index = field.choices.findIndex((each) => same(each, value));
      input.selectedIndex = Math.max(0, index);
    },
    check: () => {},
  };
}

function jsonControl(_field, id) {
  const input = h("textarea", { id, rows: 2, class: "code", spellcheck: "false" });
  const value = () => {
    try {
      return parse(input.value);
    } catch {
      return undefined;
    }
  };
  return {
    element: input,
    input,
    get: value,
    set: (wanted) => (input.value = pretty(wanted)),
    check: (isUsed) => {
      input.required = isUsed;
      const isBroken = isUsed && input.value !== "" && value() === undefined;
      input.setCustomValidity(isBroken ? 'This is not JSON: texts need quotes, as "so".' : "");
    },
  };
}
