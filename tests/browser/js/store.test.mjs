import assert from "node:assert/strict";
import { test } from "node:test";

import { Store } from "../static/store.js";

let number = 0;

function entry(event, fields = {}) {
  number += 1;
  return {
    n: number,
    time: 1000,
    sender: "client",
    connection: 1,
    customer_id: "c1",
    conversation_id: "conv_1",
    join_ref: "1",
    ref: null,
    topic: "customer:c1",
    event,
    payload: {},
    bytes: 2,
    ...fields,
  };
}

const payload = (more = {}) => ({ call_id: "call_1", conversation_id: "conv_1", tool_name: "echo", ...more });
const request = (time, more = {}) =>
  entry("tool_call_request", { time, sender: "server", payload: payload(more) });
const response = (time, more = {}) =>
  entry("tool_call_response", { time, payload: payload({ result: 1, ...more }), ref: String(number) });

function storeWith(entries, limit = 100) {
  const store = new Store(limit, () => 0);
  store.take({ type: "hello", session: "s1" });
  store.take({ type: "entries", entries });
  return store;
}

test("an answer has the time from its request", () => {
  const store = storeWith([request(10), response(10.25)]);
  assert.equal(store.entries[1].took, 0.25);
  assert.equal(store.entries[1].requestNumber, store.entries[0].n);
  const figures = store.figures.get("echo");
  assert.deepEqual([figures.calls, figures.answers, [...figures.seconds]], [1, 1, [0.25]]);
});

test("a call that is asked and answered again counts once, from the first request", () => {
  const store = storeWith([request(10), request(11), response(12), response(13)]);
  const figures = store.figures.get("echo");
  assert.deepEqual([figures.calls, figures.answers, [...figures.seconds]], [1, 1, [2]]);
  assert.equal(store.entries[3].took, 3);
});

test("the same call id in another conversation is another call", () => {
  const first = request(10);
  const other = { ...request(11), conversation_id: "conv_2" };
  const store = storeWith([first, other, response(12)]);
  assert.equal(store.figures.get("echo").calls, 2);
  assert.equal(store.entries[2].took, 2);
});

test("errors are counted by type", () => {
  const error = (type) =>
    entry("tool_call_error", { time: 11, payload: payload({ error: { type, message: "" } }) });
  const store = storeWith([request(10), error("tool_timeout")]);
  assert.deepEqual([...store.figures.get("echo").errors], [["tool_timeout", 1]]);
  assert.equal(store.figures.get("echo").failures, 1);
});

test("a reply has the time from its push, on its own connection", () => {
  const store = storeWith([
    entry("phx_join", { time: 10, ref: "1" }),
    entry("phx_join", { time: 11, ref: "1", connection: 2 }),
    entry("phx_reply", { time: 12, ref: "1", sender: "server" }),
    entry("phx_reply", { time: 13, ref: "1", sender: "server" }),
  ]);
  assert.deepEqual(store.entries.map((each) => each.took), [null, null, 2, null]);
});

test("a call is known by the beginning of a payload that is too long", () => {
  const first = request(10);
  const long = entry("tool_call_response", {
    time: 12,
    payload: null,
    excerpt: '{"call_id": "call_1", "conversation_id": "conv_1", "tool_name": "echo", "result": "xxx',
  });
  assert.equal(storeWith([first, long]).entries[1].took, 2);
});

test("what was told before a reconnection is not told twice", () => {
  const entries = [request(10), response(11)];
  const store = storeWith(entries);
  store.take({ type: "hello", session: "s1" });
  store.take({ type: "entries", entries: [...entries, request(12, { call_id: "call_2" })] });
  assert.equal(store.entries.length, 3);
  assert.equal(store.figures.get("echo").calls, 2);
});

test("another session begins from nothing", () => {
  const store = storeWith([request(10)]);
  store.take({ type: "notice", level: "info", text: "x", time: 1 });
  assert.equal(store.take({ type: "hello", session: "s2" }), "everything");
  assert.deepEqual([store.entries.length, store.notices.length, store.figures.size], [0, 0, 0]);
  store.take({ type: "entries", entries: [{ ...request(1), n: 1 }] });
  assert.equal(store.entries.length, 1);
});

test("memory is bounded", () => {
  const store = storeWith([], 50);
  for (let batch = 0; batch < 20; batch += 1) {
    store.take({ type: "entries", entries: Array.from({ length: 40 }, () => entry("x")) });
    assert.ok(store.entries.length <= 50);
  }
  assert.equal(store.entries.at(-1).n, number);
  for (let each = 0; each < 500; each += 1) store.take({ type: "notice", text: `${each}` });
  assert.ok(store.notices.length <= 200);
});

test("an unknown message changes nothing", () => {
  assert.equal(storeWith([]).take({ type: "tomorrow" }), null);
});

test("payloads of any shape are taken", () => {
  const word = JSON.parse('{"toString": 1, "valueOf": 1}');
  const evil = { ...payload(), error: { type: word }, tool_name: word };
  const strange = [evil, { ...payload(), error: { type: word } }, null, 7, "x", [], [1], { call_id: 5 }, { tool_name: {} }];
  const events = ["tool_call_request", "tool_call_response", "tool_call_error", "phx_reply"];
  const entries = events.flatMap((event) => strange.map((each) => entry(event, { payload: each, ref: word })));
  assert.equal(storeWith(entries).entries.length, entries.length);
});
