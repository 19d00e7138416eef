import assert from "node:assert/strict";
import { test } from "node:test";

import { misfits, numberProblem, readArguments, textProblem, variantFor } from "../static/fits.js";
import { fieldOf, initial, kindName, nameOf } from "../static/schema.js";

const object = (properties, required = [], more = {}) => ({
  type: "object",
  properties,
  required,
  ...more,
});
const child = (schema, name = "x") => fieldOf(object({ [name]: schema }, [name])).fields[0][1];

test("each type becomes the field for it", () => {
  const kinds = {
    text: { type: "string" },
    number: { type: "integer" },
    boolean: { type: "boolean" },
    choice: { enum: ["a", "b"] },
    list: { type: "array", items: { type: "string" } },
    tuple: { type: "array", prefixItems: [{ type: "string" }] },
    object: { type: "object", properties: {} },
    union: { anyOf: [{ type: "string" }, { type: "integer" }] },
    json: {},
  };
  for (const [kind, schema] of Object.entries(kinds)) assert.equal(child(schema).kind, kind);
});

test("a text's format chooses the control", () => {
  const format = (name) => child({ type: "string", format: name }).format;
  assert.deepEqual(
    ["date", "time", "date-time", "email", "decimal", "constructor", undefined].map(format),
    ["date", "time", "datetime", "email", "text", "text", "text"],
  );
});

test("null is an option however the schema says so", () => {
  const ways = [
    { type: "string", nullable: true },
    { type: ["string", "null"] },
    { anyOf: [{ type: "string" }, { type: "null" }] },
    { oneOf: [{ type: "null" }, { type: "string" }] },
    { allOf: [{ type: "string", nullable: true }] },
  ];
  for (const way of ways) {
    const { kind, nullable } = child(way);
    assert.deepEqual([kind, nullable], ["text", true]);
  }
  const choice = child({ enum: ["a", null] });
  assert.deepEqual([choice.choices, choice.nullable], [["a"], true]);
});

test("several types are a union, and so are several variants besides null", () => {
  const field = child({ type: ["string", "integer", "null"] });
  assert.deepEqual([field.kind, field.nullable, field.variants.length], ["union", true, 2]);
  const other = child({ anyOf: [{ type: "string" }, { type: "integer" }, { type: "null" }] });
  assert.deepEqual([other.kind, other.nullable, other.variants.length], ["union", true, 2]);
});

test("what no form can show becomes JSON", () => {
  const strange = [true, false, null, 7, [], { $ref: "#" }, { allOf: [{}, {}] }, { type: "nonsense" }, { type: "constructor", kind: "text" }, { type: "__proto__" }];
  for (const schema of strange) assert.equal(child(schema).kind, "json");
});

test("a schema without end ends as JSON", () => {
  let schema = { type: "string" };
  for (let depth = 0; depth < 10_000; depth += 1) schema = { type: "array", items: schema };
  let field = fieldOf(schema);
  let depth = 0;
  for (; field.kind === "list"; depth += 1) field = field.item;
  assert.equal(field.kind, "json");
  assert.ok(depth < 20);
});

test("a property may be called as it likes", () => {
  const schema = JSON.parse('{"type": "object", "properties": {"__proto__": {"type": "string"}, "constructor": {"type": "integer"}}}');
  const field = fieldOf(schema);
  assert.deepEqual(field.fields.map(([name]) => name), ["__proto__", "constructor"]);
  const value = JSON.parse('{"__proto__": "x"}');
  assert.deepEqual(misfits(field, value), []);
  assert.deepEqual(misfits(field, { constructor: "x" }), ["constructor is not an integer"]);
});

test("an object without known properties takes entries", () => {
  assert.equal(child({ type: "object", additionalProperties: { type: "number" } }).extra.kind, "number");
  assert.equal(child({ type: "object" }).extra.kind, "json");
  assert.equal(child({ type: "object", additionalProperties: false }).extra, null);
  assert.equal(child(object({ a: {} })).extra, null);
  assert.equal(fieldOf(object({})).extra, null, "a tool without parameters takes none");
});

test("a field begins with its default, or empty, or left out", () => {
  const schema = object(
    {
      text: { type: "string" },
      choice: { enum: ["a", "b"] },
      yes: { type: "boolean" },
      list: { type: "array", items: { type: "string" }, minItems: 2 },
      inner: object({ deep: { type: "string", default: "d" } }),
      given: { type: "integer", default: 0 },
      absent: { type: "string" },
      nothing: { type: "string", nullable: true, default: null },
    },
    ["text", "choice", "yes", "list", "inner"],
  );
  assert.deepEqual(initial(fieldOf(schema)), {
    text: "",
    choice: "a",
    yes: false,
    list: ["", ""],
    inner: { deep: "d" },
    given: 0,
    nothing: null,
  });
});

test("a list that wants a billion items begins with a few", () => {
  assert.ok(initial(child({ type: "array", items: {}, minItems: 1e9 })).length <= 20);
});

test("what a form cannot show is told with its path", () => {
  const schema = object({
    people: { type: "array", items: object({ age: { type: "integer" } }) },
    colour: { enum: ["red"] },
    pair: { type: "array", prefixItems: [{ type: "string" }, { type: "boolean" }] },
  });
  const field = fieldOf(schema);
  assert.deepEqual(misfits(field, { people: [{ age: 1 }], colour: "red", pair: ["a", true] }), []);
  assert.deepEqual(misfits(field, { people: [{ age: "x", more: 1 }], colour: "blue", pair: [1] }), [
    "people[0].age is not an integer",
    "people[0].more has no field",
    "colour is none of the choices",
    "pair is not a list of exactly 2",
  ]);
  assert.deepEqual(misfits(field, []), ["it is not an object"]);
});

test("what is missing fits, because the form shows it empty", () => {
  const field = fieldOf(object({ a: { type: "string" } }, ["a"]));
  assert.deepEqual(misfits(field, {}), []);
  assert.deepEqual(misfits(field, {}, "", true), ["a is missing"]);
});

test("the variant of a union is the one that a value fits best", () => {
  const field = child({
    anyOf: [
      object({ kind: { const: "card" }, number: { type: "string" } }, ["kind", "number"]),
      object({ kind: { const: "cash" } }, ["kind"]),
      { type: "integer" },
    ],
  });
  assert.equal(variantFor(field, { kind: "cash" }), 1);
  assert.equal(variantFor(field, { kind: "card", number: "1" }), 0);
  assert.equal(variantFor(field, 5), 2);
  assert.equal(variantFor(field, true), -1);
  assert.deepEqual(field.variants.map(nameOf), ['kind: "card"', 'kind: "cash"', "integer"]);
});

test("a union of one is that one", () => {
  assert.equal(child({ anyOf: [{ type: "string" }] }).kind, "text");
});

test("kinds have short names", () => {
  const name = (schema) => kindName(child(schema));
  assert.deepEqual(
    [
      name({ type: "string", format: "uuid" }),
      name({ type: "array", items: { type: "integer" } }),
      name({ type: "object", additionalProperties: { type: "number" } }),
      name({ anyOf: [{ type: "string" }, { type: "integer" }] }),
      name({ type: "array", prefixItems: [{}, {}] }),
    ],
    ["uuid", "list of integer", "map of number", "one of 2 kinds", "list of exactly 2"],
  );
});

test("numbers are held to their limits", () => {
  const problem = (schema, value) => numberProblem(child(schema), value);
  assert.equal(problem({ type: "integer" }, 1.5), "A whole number.");
  assert.equal(problem({ type: "integer", minimum: 2 }, 1), "At least 2.");
  assert.equal(problem({ type: "number", maximum: 2 }, 3), "At most 2.");
  assert.equal(problem({ type: "number", exclusiveMinimum: 2 }, 2), "More than 2.");
  assert.equal(problem({ type: "number", exclusiveMaximum: 2 }, 2), "Less than 2.");
  assert.equal(problem({ type: "number", multipleOf: 0.1 }, 0.3), "");
  assert.equal(problem({ type: "number", multipleOf: 0.1 }, 0.35), "A multiple of 0.1.");
  assert.equal(problem({ type: "number" }, -1e300), "");
});

test("texts are held to their limits, by characters and not by code units", () => {
  const problem = (schema, value) => textProblem(child({ type: "string", ...schema }), value);
  assert.equal(problem({ minLength: 2 }, "😀"), "At least 2 characters.");
  assert.equal(problem({ maxLength: 1 }, "😀"), "");
  assert.equal(problem({ maxLength: 1 }, "ab"), "At most 1 characters.");
  assert.equal(problem({ pattern: "^[A-Z]{3}$" }, "osl"), "It has to match ^[A-Z]{3}$");
  assert.equal(problem({ pattern: "^[A-Z]{3}$" }, "OSL"), "");
  assert.equal(problem({ pattern: "(?P<python>x)" }, "y"), "", "another dialect");
});

test("arguments are an object", () => {
  assert.deepEqual(readArguments(' {"a": 1} '), { value: { a: 1 } });
  assert.deepEqual(readArguments("  "), { value: {} });
  for (const text of ["[]", "null", "1", '"x"']) assert.match(readArguments(text).problem, /object/);
  assert.match(readArguments("{a: 1}").problem, /^This is not JSON: /);
});
