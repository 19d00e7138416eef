import assert from "node:assert/strict";
import { test } from "node:test";

import { waitBefore } from "../static/backoff.js";
import { FAULTS, outcomeOf } from "../static/faults.js";
import { bytes, clock, counted, duration } from "../static/format.js";
import { conditionOf, workOf } from "../static/sidebar.js";

test("durations have three digits and a unit", () => {
  const told = [0, 0.0001234, 0.01234, 0.5, 0.9999, 1.234, 75, 600, 86_400, NaN].map(duration);
  assert.deepEqual(told, ["0.00 ms", "0.12 ms", "12.3 ms", "500 ms", "1.00 s", "1.23 s", "75.0 s", "10.0 min", "24.0 h", "–"]);
});

test("numbers read as words", () => {
  assert.equal(counted(1, "call"), "1 call");
  assert.equal(counted(1200, "call"), "1,200 calls");
  assert.deepEqual([12, 1234, 2_500_000].map(bytes), ["12 B", "1.23 kB", "2.50 MB"]);
  assert.match(clock(1764126000.123), /^\d\d:\d\d:\d\d[.,]123$/);
  assert.equal(clock(undefined), "");
});

test("waits between tries grow, and have an end", () => {
  const longest = Array.from({ length: 50 }, (_, attempt) => waitBefore(attempt, () => 1));
  assert.deepEqual(longest, [...longest].sort((one, other) => one - other));
  assert.equal(longest[0], 250);
  assert.equal(longest.at(-1), 5000);
  assert.equal(waitBefore(0, () => 0), 125);
});

test("an agent's condition is told by its health, if that is known", () => {
  const agent = (health) => ({ health, conversations: ["a"] });
  assert.deepEqual(conditionOf(agent(null)), ["joined", "good"]);
  assert.deepEqual(conditionOf(agent({ ready: true })), ["ready", "good"]);
  assert.deepEqual(conditionOf(agent({ ready: false, joined: true })), ["joined, not ready", "so-so"]);
  assert.deepEqual(conditionOf(agent({ state: "failed" })), ["failed", "bad"]);
  assert.equal(workOf(agent({ calls_running: 2, calls_queued: 0, answers_unconfirmed: 1 })), "1 conversation · 2 running · 1 unconfirmed");
  assert.equal(workOf(agent(null)), "1 conversation");
});

test("the outcome of a fault is told", () => {
  const named = (name) => FAULTS.find((each) => each.name === name);
  assert.equal(outcomeOf(named("cut"), 2), "Cut now: 2 connections.");
  assert.equal(outcomeOf(named("restart"), null), "Restart platform: done.");
  assert.equal(outcomeOf(named("refuse_join"), null), "Refuse next join: armed.");
  assert.equal(outcomeOf(named("stall"), null), "Stall reading: on.");
});

test("what lasts can be ended, and each fault says what it does", () => {
  assert.equal(new Set(FAULTS.map((each) => each.name)).size, FAULTS.length);
  for (const { about } of FAULTS) assert.ok(about.length > 10);
});
