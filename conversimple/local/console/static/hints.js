// What a field's schema says of it besides its kind.

import { h } from "./dom.js";
import { compact } from "./json.js";

/** A paragraph for a field with this id, or null if there is nothing to say. */
export function hintOf(field, id) {
  const limits = limitsOf(field);
  if (field.hint === "" && limits === "") return null;
  const more = limits === "" ? null : h("span", { class: "limits" }, limits);
  const gap = field.hint !== "" && more !== null ? " " : null;
  return h("p", { class: "hint", id: `${id}-hint` }, field.hint, gap, more);
}

function limitsOf({ schema, kind }) {
  const told = [];
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (minimum !== undefined) told.push(`≥ ${compact(minimum)}`);
  if (exclusiveMinimum !== undefined) told.push(`> ${compact(exclusiveMinimum)}`);
  if (maximum !== undefined) told.push(`≤ ${compact(maximum)}`);
  if (exclusiveMaximum !== undefined) told.push(`< ${compact(exclusiveMaximum)}`);
  if (schema.minLength > 0) told.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) told.push(`at most ${compact(schema.maxLength)} characters`);
  if (schema.pattern !== undefined) told.push(`matches ${schema.pattern}`);
  if (schema.contentEncoding !== undefined) told.push(String(schema.contentEncoding));
  if (kind === "list" && schema.minItems > 0) told.push(`at least ${schema.minItems}`);
  if (kind === "list" && schema.maxItems !== undefined) {
    told.push(`at most ${compact(schema.maxItems)}`);
  }
  if (schema.default !== undefined) told.push(`default ${compact(schema.default, 60)}`);
  return told.join(" · ");
}
