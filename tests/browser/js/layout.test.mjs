import assert from "node:assert/strict";
import { test } from "node:test";

import { Layout, indexFrom } from "../static/layout.js";

const entries = (length, first = 1) => Array.from({ length }, (_, index) => ({ n: first + index }));

test("entries are found by their number", () => {
  const all = [{ n: 2 }, { n: 5 }, { n: 9 }];
  assert.deepEqual([0, 2, 3, 9, 10].map((n) => indexFrom(all, n)), [0, 0, 1, 2, 3]);
});

test("rows are one below the other, and tall ones push the others down", () => {
  const layout = new Layout(entries(100), 20, new Map([[3, 50], [10, 100], [500, 7]]));
  assert.deepEqual([0, 2, 3, 10, 100].map((index) => layout.top(index)), [0, 40, 110, 350, 2150]);
  assert.equal(layout.height, 2150);
});

test("the row at a height is the one that is seen there", () => {
  const layout = new Layout(entries(1000), 20, new Map([[3, 50], [700, 33]]));
  for (let y = -5; y < layout.height + 50; y += 7) {
    const index = layout.at(y);
    if (y >= 0) assert.ok(layout.top(index) <= y);
    if (index < 999) assert.ok(layout.top(index + 1) > y);
  }
});

test("as many rows are shown as have room", () => {
  const layout = new Layout(entries(10_000), 20, new Map());
  assert.deepEqual(layout.between(2000, 2400, 5), [95, 126]);
  assert.deepEqual(layout.between(0, 400, 5), [0, 26]);
  assert.deepEqual(layout.between(199_800, 200_200, 5), [9985, 10_000]);
  assert.deepEqual(new Layout([], 20, new Map()).between(0, 500, 5), [0, 0]);
});
