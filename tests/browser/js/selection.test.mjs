import assert from "node:assert/strict";
import { test } from "node:test";

import { Selection, isWanted, wordsOf } from "../static/selection.js";

const kinds = new Set(["call"]);
const entry = (n, more = {}) => ({
  n,
  kind: "call",
  event: "tool_call_request",
  conversation_id: "conv_1",
  topic: "customer:c1",
  payload: { arguments: { place: "Ålesund" } },
  ...more,
});

test("an entry is wanted by its kind, its conversation and all words", () => {
  const wanted = (more, words = "") =>
    isWanted(entry(1, more), { kinds, conversation: "conv_1", words: wordsOf(words) });
  assert.ok(wanted({}));
  assert.ok(!wanted({ kind: "reply" }));
  assert.ok(!wanted({ conversation_id: null }));
  assert.ok(wanted({}, " REQUEST ålesund "));
  assert.ok(!wanted({}, "request bergen"));
  assert.ok(wanted({ payload: null, excerpt: "bergen…" }, "bergen"));
});

test("what is new is found, and what fell off is forgotten", () => {
  const selection = new Selection({ kinds });
  const all = [entry(1), entry(2, { kind: "other" }), entry(3)];
  assert.deepEqual(selection.advance(all), { done: true, dropped: 0 });
  all.push(entry(4));
  all.splice(0, 2);
  assert.deepEqual(selection.advance(all), { done: true, dropped: 1 });
  assert.deepEqual(selection.entries.map((each) => each.n), [3, 4]);
  assert.deepEqual(selection.advance([]), { done: true, dropped: 2 });
});

test("looking takes breaks, and goes on where it was", () => {
  const selection = new Selection({ kinds });
  const all = Array.from({ length: 1000 }, (_, index) => entry(index + 1));
  let looks = 0;
  const everyOther = () => (looks += 1) % 2 === 0;
  let turns = 1;
  while (!selection.advance(all, everyOther).done) turns += 1;
  assert.ok(turns > 1);
  assert.deepEqual(selection.entries, all);
});
