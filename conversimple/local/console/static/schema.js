// JSON Schemas as form fields. Pure: no document here.
//
// A field is {kind, schema, nullable, required, label, hint} and, by kind:
//   text      format
//   number    integer
//   boolean
//   choice    choices: values, of which one is sent
//   object    fields: [[name, field]], extra: field | null (additionalProperties)
//   list      item: field
//   tuple     items: [field]
//   union     variants: [field]
//   json      anything, as JSON

import { compact, isObject } from "./json.js";

const DEEPEST = 12;
const NONE = Object.freeze({});
const FORMATS = new Map([
  ["date", "date"],
  ["time", "time"],
  ["date-time", "datetime"],
  ["email", "email"],
  ["uri", "url"],
  ["url", "url"],
]);

/** The field for a schema; what cannot be understood becomes a field for JSON. */
export function fieldOf(schema, { required = true, label = "", depth = 0 } = NONE) {
  const { schema: merged, nullable } = normal(schema);
  const base = {
    schema: merged,
    nullable,
    required,
    label: label || text(merged.title),
    hint: text(merged.description),
  };
  const kind = depth > DEEPEST ? { kind: "json" } : kindOf(merged, depth);
  return { ...base, ...kind };
}

function text(value) {
  return typeof value === "string" ? value : "";
}

/** Take "or null" out of a schema, and one part of an allOf in. */
function normal(schema) {
  let result = isObject(schema) ? schema : {};
  let nullable = result.nullable === true;
  if (Array.isArray(result.allOf)) {
    const { allOf, ...own } = result;
    // One part says it all; several are more than a form can show.
    if (allOf.length === 1 && isObject(allOf[0])) result = { ...allOf[0], ...own };
    nullable ||= result.nullable === true;
  }
  if (Array.isArray(result.type)) {
    nullable ||= result.type.includes("null");
    const others = result.type.filter((type) => type !== "null");
    result = { ...result, type: others.length === 1 ? others[0] : others };
  }
  for (const word of ["anyOf", "oneOf"]) {
    if (!Array.isArray(result[word])) continue;
    const others = result[word].filter((each) => each?.type !== "null");
    if (others.length === result[word].length) continue;
    nullable = true;
    const { [word]: _, ...own } = result;
    result = others.length === 1 ? { ...others[0], ...own } : { ...own, [word]: others };
    nullable ||= result.nullable === true;
  }
  if (Array.isArray(result.enum) && result.enum.includes(null)) {
    nullable = true;
    result = { ...result, enum: result.enum.filter((value) => value !== null) };
  }
  return { schema: result, nullable };
}

function kindOf(schema, depth) {
  if ("allOf" in schema || "$ref" in schema) return { kind: "json" };
  if ("const" in schema) return { kind: "choice", choices: [schema.const] };
  if (Array.isArray(schema.enum) && schema.enum.length > 0) {
    return { kind: "choice", choices: schema.enum };
  }
  const variants = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(variants) && variants.length > 0) return unionOf(variants, depth);
  if (Array.isArray(schema.type) && schema.type.length > 1) {
    return unionOf(schema.type.map((type) => ({ ...schema, type })), depth);
  }
  const type = typeOf(schema);
  // A type may be called "constructor", too.
  return Object.hasOwn(KINDS, type) ? KINDS[type](schema, depth) : { kind: "json" };
}

function typeOf(schema) {
  if (typeof schema.type === "string") return schema.type;
  if (isObject(schema.properties)) return "object";
  return Array.isArray(schema.prefixItems) || isObject(schema.items) ? "array" : "";
}

function unionOf(variants, depth) {
  if (variants.length === 1) {
    const { kind, ...rest } = fieldOf(variants[0], { depth: depth + 1 });
    const { required: _r, nullable: _n, hint: _h, label: _l, ...own } = rest;
    return { kind, ...own };
  }
  return {
    kind: "union",
    variants: variants.map((each) => fieldOf(each, { depth: depth + 1 })),
  };
}

const KINDS = {
  string: (schema) => ({
    kind: "text",
    format: FORMATS.get(schema.format) ?? "text",
  }),
  integer: () => ({ kind: "number", integer: true }),
  number: () => ({ kind: "number", integer: false }),
  boolean: () => ({ kind: "boolean" }),
  null: () => ({ kind: "choice", choices: [null] }),
  array: (schema, depth) => {
    if (Array.isArray(schema.prefixItems)) {
      const items = schema.prefixItems.map((each, index) =>
        fieldOf(each, { depth: depth + 1, label: `${index + 1}` }),
      );
      return { kind: "tuple", items };
    }
    return { kind: "list", item: fieldOf(schema.items ?? {}, { depth: depth + 1 }) };
  },
  object: (schema, depth) => {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const required = Array.isArray(schema.required) ? schema.required : [];
    const fields = Object.entries(properties).map(([name, child]) => [
      name,
      fieldOf(child, {
        label: name,
        required: required.includes(name),
        depth: depth + 1,
      }),
    ]);
    const extra = schema.additionalProperties;
    const takesMore = isObject(extra) || (extra !== false && fields.length === 0 && depth > 0);
    return {
      kind: "object",
      fields,
      extra: takesMore ? fieldOf(extra ?? {}, { depth: depth + 1 }) : null,
    };
  },
};

/** The kind of a field, in a word. */
export function kindName(field) {
  switch (field.kind) {
    case "text":
      return text(field.schema.format) || "text";
    case "number":
      return field.integer ? "integer" : "number";
    case "list":
      return field.item.kind === "json" ? "list" : `list of ${kindName(field.item)}`;
    case "tuple":
      return `list of exactly ${field.items.length}`;
    case "union":
      return `one of ${field.variants.length} kinds`;
    case "json":
      return "any JSON";
    case "object":
      if (field.extra === null || field.fields.length > 0) return "object";
      return `map of ${kindName(field.extra)}`;
    default:
      return field.kind;
  }
}

/** What a union's variant, or a choice, is called. */
export function nameOf(field) {
  if (field.label) return field.label;
  if (field.kind === "object") {
    const fixed = field.fields.find(([, child]) => child.choices?.length === 1);
    if (fixed !== undefined) return `${fixed[0]}: ${compact(fixed[1].choices[0], 40)}`;
    const names = field.fields.map(([name]) => name).join(", ");
    return names === "" ? "object" : `object with ${names.slice(0, 60)}`;
  }
  if (field.kind === "choice") return field.choices.map((each) => compact(each, 20)).join(" | ");
  if (field.kind === "list") return `list of ${nameOf(field.item)}`;
  if (field.kind === "text") return field.schema.format ?? "text";
  if (field.kind === "number") return field.integer ? "integer" : "number";
  return { boolean: "true / false", tuple: "fixed list", json: "any JSON" }[field.kind] ?? "any";
}

/**
 * The value that a field begins with; undefined: it is left out. An optional field without
 * a default is left out.
 */
export function initial(field) {
  if ("default" in field.schema) return field.schema.default;
  if (!field.required) return undefined;
  return blank(field);
}

/** A value to begin with for a field that has to have one. */
export function blank(field) {
  switch (field.kind) {
    case "text":
      return "";
    case "boolean":
      return false;
    case "choice":
      return field.choices[0];
    case "list":
      return Array.from({ length: fewest(field.schema) }, () => startOf(field.item));
    case "tuple":
      return field.items.map(startOf);
    case "object":
      return Object.fromEntries(
        field.fields
          .map(([name, child]) => [name, initial(child)])
          .filter(([, value]) => value !== undefined),
      );
    case "union":
      return startOf(field.variants[0]);
    default:
      return null; // a number without digits, or JSON that is still to be written
  }
}

function startOf(field) {
  return "default" in field.schema ? field.schema.default : blank(field);
}

function fewest(schema) {
  return Number.isInteger(schema.minItems) ? Math.min(Math.max(schema.minItems, 0), 20) : 0;
}
