// What the frames on the wire mean: their kind, in words, and which answer is whose.

import { compact, word } from "./json.js";

/** The kinds of events, in the order in which they are offered. */
export const KINDS = [
  { kind: "call", label: "Calls", shown: true },
  { kind: "conversation", label: "Conversations", shown: true },
  { kind: "channel", label: "Channel", shown: true },
  { kind: "reply", label: "Replies", shown: true },
  { kind: "heartbeat", label: "Heartbeats", shown: false },
  { kind: "other", label: "Other", shown: true },
];

const KIND_OF = new Map([
  ["tool_call_request", "call"],
  ["tool_call_response", "call"],
  ["tool_call_error", "call"],
  ["conversation_lifecycle", "conversation"],
  ["conversation_ready", "conversation"],
  ["register_conversation_tools", "conversation"],
  ["phx_join", "channel"],
  ["phx_leave", "channel"],
  ["phx_close", "channel"],
  ["phx_error", "channel"],
  ["phx_reply", "reply"],
  ["heartbeat", "heartbeat"],
]);
const ANSWERS = new Set(["tool_call_response", "tool_call_error"]);
const CALL_ID = /"call_id":\s*"((?:[^"\\]|\\.){1,200})"/;
const SHORT_TOOL = /"tool_name":\s*"((?:[^"\\]|\\.){1,200})"/;

export function kindOf(entry) {
  if (entry.topic === "phoenix") return "heartbeat";
  return KIND_OF.get(entry.event) ?? "other";
}

export function isAnswer(entry) {
  return ANSWERS.has(entry.event);
}

/** Whether it tells of something that went wrong. */
export function isFailure(entry) {
  if (entry.event === "tool_call_error" || entry.event === "phx_error") return true;
  return entry.event === "phx_reply" && entry.payload?.status === "error";
}

/** A field of a payload that may have come as its beginning only. */
export function fieldOf(entry, name) {
  if (entry.payload !== null && typeof entry.payload === "object") {
    const value = entry.payload[name];
    return typeof value === "string" ? value : null;
  }
  const pattern = name === "call_id" ? CALL_ID : SHORT_TOOL;
  return pattern.exec(entry.excerpt ?? "")?.[1] ?? null;
}

/** What tells a call apart: the ids are the same in each conversation. */
export function callKey(entry) {
  const id = fieldOf(entry, "call_id");
  return id === null ? null : `${entry.conversation_id ?? ""}\n${id}`;
}

/** One line about a frame. */
export function summary(entry) {
  const payload = entry.payload;
  if (payload === null || typeof payload !== "object") {
    return entry.excerpt ?? compact(payload);
  }
  return SUMMARIES.get(entry.event)?.(payload) ?? compact(payload, 200);
}

// A map, because an event may be called "constructor".
const SUMMARIES = new Map([
  [
    "tool_call_request",
    ({ tool_name: tool, arguments: given }) =>
      `${word(tool)}(${compact(given, 160).replace(/^\{|\}$/g, "")})`,
  ],
  [
    "tool_call_response",
    ({ tool_name: tool, result }) => `${word(tool)} → ${compact(result, 160)}`,
  ],
  [
    "tool_call_error",
    ({ tool_name: tool, error }) =>
      `${word(tool)} ✕ ${word(error?.type)}: ${word(error?.message, 160)}`,
  ],
  ["conversation_lifecycle", ({ event }) => word(event)],
  [
    "register_conversation_tools",
    ({ tools }) =>
      Array.isArray(tools) ? tools.map((tool) => word(tool?.name)).join(", ") : null,
  ],
  [
    "phx_reply",
    ({ status, response }) => (status === "ok" ? "ok" : `${word(status)} ${compact(response)}`),
  ],
]);

/** Finds the request to an answer, and the push to a reply, as entries come in. */
export class Pairing {
  #limit;
  #calls = new Map();
  #pushes = new Map();

  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  /**
   * Note a request. Gives whether it is the first one of its call: asked again, the time
   * still counts from the first.
   */
  asked(entry) {
    const key = callKey(entry);
    if (key === null || this.#calls.has(key)) return key === null;
    const tool = fieldOf(entry, "tool_name");
    this.#keep(this.#calls, key, { time: entry.time, n: entry.n, tool, answers: 0 });
    return true;
  }

  /** The request `{time, n, tool, answers}` to an answer, which is counted, or null. */
  answered(entry) {
    this.pushed(entry);
    const call = this.#calls.get(callKey(entry)) ?? null;
    if (call !== null) call.answers += 1;
    return call;
  }

  /** Note what a client sent, for the reply to it. */
  pushed(entry) {
    if (entry.sender !== "client" || typeof entry.ref !== "string") return;
    this.#keep(this.#pushes, pushKey(entry), { time: entry.time, n: entry.n });
  }

  /** The push `{time, n}` to a reply, or null. */
  replied(entry) {
    if (typeof entry.ref !== "string") return null;
    const push = this.#pushes.get(pushKey(entry)) ?? null;
    this.#pushes.delete(pushKey(entry));
    return push;
  }

  #keep(map, key, value) {
    map.set(key, value);
    if (map.size > this.#limit) map.delete(map.keys().next().value);
  }
}

function pushKey(entry) {
  return `${entry.connection}\n${entry.ref}`;
}
