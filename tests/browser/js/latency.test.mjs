import assert from "node:assert/strict";
import { test } from "node:test";

import { ToolFigures, histogram, percentile, ticks } from "../static/latency.js";

test("percentiles are values that occurred", () => {
  const values = Float64Array.from({ length: 100 }, (_, index) => index + 1);
  assert.deepEqual([0.5, 0.95, 1].map((share) => percentile(values, share)), [50, 95, 100]);
  assert.equal(percentile([7], 0.5), 7);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test("a histogram counts everything between its bounds", () => {
  const values = [0, 1e-9, 0.001, 0.0011, 0.01, 0.5, 300];
  const { bounds, counts } = histogram(values);
  assert.equal(bounds.length, counts.length + 1);
  assert.equal(counts.reduce((sum, each) => sum + each), values.length);
  assert.ok(bounds.at(-1) > 300);
  assert.deepEqual(histogram([]), { bounds: [], counts: [] });
});

test("ticks are few and round", () => {
  assert.deepEqual(ticks(0.0008, 0.012), [0.001, 0.002, 0.005, 0.01]);
  assert.deepEqual(ticks(0.0005, 5).length <= 5, true);
  assert.deepEqual(ticks(0, 1), []);
});

test("memory is bounded, and the latest count", () => {
  const figures = new ToolFigures();
  for (let each = 0; each < 10_000; each += 1) figures.answered(each, null);
  assert.ok(figures.seconds.length <= 4000);
  assert.equal(figures.seconds.at(-1), 9999);
  assert.equal(figures.answers, 10_000);
});

test("a clock that was set back gives no negative time", () => {
  const figures = new ToolFigures();
  figures.answered(-1, null);
  assert.deepEqual([...figures.seconds], [0]);
});
