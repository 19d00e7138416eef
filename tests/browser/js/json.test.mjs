import assert from "node:assert/strict";
import { test } from "node:test";

import { compact, isNumber, isObject, numberFrom, parse, pieces, pretty, same } from "../static/json.js";

const keepsDigits = typeof JSON.rawJSON === "function";

test("long numbers keep their digits", { skip: !keepsDigits && "node is too old" }, () => {
  const text = '{"id":12345678901234567890,"pi":3.14159265358979323846,"n":[1,2.5]}';
  const value = parse(text);
  assert.equal(JSON.stringify(value), text);
  assert.ok(isNumber(value.id) && !isObject(value.id));
  assert.equal(JSON.stringify(numberFrom("12345678901234567890")), "12345678901234567890");
});

test("numbers come from digits, and from nothing else", () => {
  assert.deepEqual(["1", " -2.5 ", "1e3"].map(numberFrom), [1, -2.5, 1000]);
  assert.deepEqual(["", " ", "x", "1e999", "NaN"].map(numberFrom), Array(5).fill(undefined));
});

test("values are the same whatever the order of their keys", () => {
  assert.ok(same({ a: 1, b: [{ c: 2, d: 3 }] }, { b: [{ d: 3, c: 2 }], a: 1 }));
  assert.ok(!same({ a: 1 }, { a: "1" }));
  assert.ok(!same([1, 2], [2, 1]));
});

test("a compact text has one line and a length", () => {
  assert.equal(compact({ a: [1] }), '{"a":[1]}');
  assert.equal(compact("x".repeat(500), 10).length, 10);
  assert.equal(compact(undefined), "");
});

test("the pieces of a text are the text", () => {
  const text = pretty({ "a \" b": ["x: y", 1.5e-7, true, null, { c: "<script>" }] });
  const all = [...pieces(text)];
  assert.equal(all.map((piece) => piece.text).join(""), text);
  const kinds = (wanted) => all.filter((each) => each.kind === wanted).map((each) => each.text);
  assert.deepEqual(kinds("key"), ['"a \\" b"', '"c"']);
  assert.deepEqual(kinds("string"), ['"x: y"', '"<script>"']);
  assert.deepEqual(kinds("value"), ["1.5e-7", "true", "null"]);
});
