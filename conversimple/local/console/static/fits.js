// Whether a value fits a field. Pure; the fields are those of schema.js.

import { isNumber, isObject, parse, same } from "./json.js";
import { kindName } from "./schema.js";

const MOST_ITEMS = 200;

/** What a text must be to be sent, in words; "" if it may be. */
export function textProblem(field, value) {
  const { minLength, maxLength, pattern } = field.schema;
  const length = [...value].length;
  if (minLength > length) return `At least ${minLength} characters.`;
  if (maxLength < length) return `At most ${maxLength} characters.`;
  if (typeof pattern === "string" && !matches(pattern, value)) {
    return `It has to match ${pattern}`;
  }
  return "";
}

function matches(pattern, value) {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true; // another dialect: the agent decides
  }
}

/** What a number must be to be sent, in words; "" if it may be. */
export function numberProblem(field, value) {
  const number = Number(isNumber(value) ? JSON.stringify(value) : value);
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = field.schema;
  if (field.integer && !Number.isInteger(number)) return "A whole number.";
  if (number < minimum) return `At least ${minimum}.`;
  if (number > maximum) return `At most ${maximum}.`;
  if (number <= exclusiveMinimum) return `More than ${exclusiveMinimum}.`;
  if (number >= exclusiveMaximum) return `Less than ${exclusiveMaximum}.`;
  if (multipleOf > 0 && !isMultiple(number, multipleOf)) return `A multiple of ${multipleOf}.`;
  return "";
}

function isMultiple(number, step) {
  const ratio = number / step;
  return Math.abs(ratio - Math.round(ratio)) < 1e-9;
}

/**
 * Why a form cannot show a value, as texts with a path. None: what is put into the form
 * comes out of it again. What is missing is none, unless `complete` is asked for: the
 * form shows it empty.
 */
export function misfits(field, value, path = "", complete = false) {
  const here = path || "it";
  if (value === undefined) return field.required && complete ? [`${here} is missing`] : [];
  if (value === null && field.nullable) return [];
  const told = FITS[field.kind](field, value, path, complete);
  if (told !== null) return told;
  if (field.kind === "choice") return [`${here} is none of the choices`];
  return [`${here} is not ${article(kindName(field))}`];
}

function article(name) {
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}

const FITS = {
  text: (_, value) => (typeof value === "string" ? [] : null),
  number: (_, value) => (isNumber(value) ? [] : null),
  boolean: (_, value) => (typeof value === "boolean" ? [] : null),
  choice: (field, value) => (field.choices.some((each) => same(each, value)) ? [] : null),
  json: () => [],
  union: (field, value) => (variantFor(field, value) === -1 ? null : []),
  list: (field, value, path, complete) => {
    if (!Array.isArray(value)) return null;
    if (value.length > MOST_ITEMS) return [`${path || "it"} is too long for a form`];
    return value.flatMap((each, i) => misfits(field.item, each, `${path}[${i}]`, complete));
  },
  tuple: (field, value, path, complete) => {
    if (!Array.isArray(value) || value.length !== field.items.length) return null;
    return value.flatMap((each, i) => misfits(field.items[i], each, `${path}[${i}]`, complete));
  },
  object: (field, value, path, complete) => {
    if (!isObject(value)) return null;
    return objectMisfits(field, value, path, complete);
  },
};

function objectMisfits(field, value, path, complete) {
  const known = new Map(field.fields);
  const under = (name) => (path ? `${path}.${name}` : name);
  const missing = field.fields
    .filter(([name]) => !Object.hasOwn(value, name))
    .flatMap(([name, child]) => misfits(child, undefined, under(name), complete));
  const wrong = Object.entries(value).flatMap(([name, each]) => {
    const child = known.get(name) ?? field.extra;
    if (child === null) return [`${under(name)} has no field`];
    return misfits(child, each, under(name), complete);
  });
  return [...missing, ...wrong];
}

/** The number of the first variant that shows a value, complete if possible; or -1. */
export function variantFor(field, value) {
  const fits = (complete) => (variant) => misfits(variant, value, "", complete).length === 0;
  const whole = field.variants.findIndex(fits(true));
  return whole === -1 ? field.variants.findIndex(fits(false)) : whole;
}

/** Arguments from their JSON. Gives `{value}` or `{problem}`. */
export function readArguments(source) {
  let value;
  try {
    value = parse(source.trim() === "" ? "{}" : source);
  } catch (error) {
    return { problem: `This is not JSON: ${error.message}` };
  }
  if (!isObject(value)) return { problem: "Arguments are an object: { … }" };
  return { value };
}
