import assert from "node:assert/strict";
import { test } from "node:test";

import { isFailure, kindOf, summary } from "../static/wire.js";

// JSON may bring what breaks whoever makes a text of it.
const WORD = JSON.parse('{"toString": 1, "valueOf": 1, "toJSON": 1}');
const EVIL = {
  tool_name: WORD,
  arguments: WORD,
  result: WORD,
  error: { type: WORD, message: WORD },
  event: WORD,
  tools: [{ name: WORD }],
  status: WORD,
  response: WORD,
};

const entry = (event, payload, topic = "customer:c1") => ({ event, payload, topic });

test("events have kinds", () => {
  const kind = (event, topic) => kindOf(entry(event, {}, topic));
  assert.equal(kind("tool_call_request"), "call");
  assert.equal(kind("conversation_lifecycle"), "conversation");
  assert.equal(kind("phx_join"), "channel");
  assert.equal(kind("phx_reply"), "reply");
  assert.equal(kind("phx_reply", "phoenix"), "heartbeat");
  assert.equal(kind("constructor"), "other");
});

test("a frame is told in a line", () => {
  const call = { tool_name: "book", arguments: { day: "2030-01-01", n: 2 } };
  assert.equal(summary(entry("tool_call_request", call)), 'book("day":"2030-01-01","n":2)');
  assert.equal(summary(entry("tool_call_response", { tool_name: "book", result: [1] })), "book → [1]");
  const error = { tool_name: "book", error: { type: "tool_timeout", message: "late" } };
  assert.equal(summary(entry("tool_call_error", error)), "book ✕ tool_timeout: late");
  const tools = { tools: [{ name: "a" }, { name: "b" }, null] };
  assert.equal(summary(entry("register_conversation_tools", tools)), "a, b, ");
  assert.equal(summary(entry("phx_reply", { status: "ok", response: {} })), "ok");
  assert.equal(summary({ ...entry("x", null), excerpt: "begin" }), "begin");
});

test("a line is told of whatever came", () => {
  const events = ["tool_call_request", "tool_call_response", "tool_call_error", "phx_reply", "register_conversation_tools", "conversation_lifecycle", "toString", "constructor", "__proto__"];
  for (const event of events) {
    for (const payload of [null, 1, "x", [], {}, { arguments: null, tools: 5, error: "no" }, EVIL]) {
      assert.equal(typeof summary(entry(event, payload)), "string");
      assert.equal(typeof isFailure(entry(event, payload)), "boolean");
    }
  }
});

test("failures are known", () => {
  assert.ok(isFailure(entry("tool_call_error", {})));
  assert.ok(isFailure(entry("phx_error", {})));
  assert.ok(isFailure(entry("phx_reply", { status: "error" })));
  assert.ok(!isFailure(entry("phx_reply", { status: "ok" })));
});
