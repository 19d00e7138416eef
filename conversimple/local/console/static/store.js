// What the page knows. Pure: messages in, questions answered, listeners told.

import { word } from "./json.js";
import { ToolFigures } from "./latency.js";
import { Pairing, fieldOf, isAnswer, kindOf } from "./wire.js";

const MOST_NOTICES = 200;

export const EMPTY_STATE = Object.freeze({
  agents: [],
  conversations: [],
  faults: [],
  violations: [],
  source: null,
});

export class Store {
  /** The latest frames, oldest first, never more than `limit`. */
  entries = [];
  notices = [];
  state = EMPTY_STATE;
  /** When the state came: the seconds in it count from then. */
  stateTime = 0;
  version = null;
  session = null;
  /** Figures by the name of the tool. */
  figures = new Map();
  /** How often everything was forgotten. */
  epoch = 0;

  #limit;
  #lastNumber = 0;
  #pairing;
  #now;

  constructor(limit = 10_000, now = () => Date.now() / 1000) {
    this.#limit = limit;
    this.#now = now;
    this.#pairing = new Pairing(limit);
  }

  get limit() {
    return this.#limit;
  }

  /** Take a message of the platform; gives what it has changed, or null. */
  take(message) {
    switch (message.type) {
      case "hello":
        return this.#hello(message);
      case "entries":
        return this.#add(message.entries);
      case "state":
        this.state = { ...EMPTY_STATE, ...message };
        this.stateTime = this.#now();
        return "state";
      case "notice":
        this.notices.push(message);
        if (this.notices.length > MOST_NOTICES) this.notices.shift();
        return "notices";
      default:
        return null;
    }
  }

  conversation(id) {
    return this.state.conversations.find((each) => each.conversation_id === id) ?? null;
  }

  figuresOf(tool) {
    let figures = this.figures.get(tool);
    if (figures === undefined) this.figures.set(tool, (figures = new ToolFigures()));
    return figures;
  }

  #hello(message) {
    this.version = message.version ?? null;
    if (message.session === this.session) return null;
    const isFirst = this.session === null;
    this.session = message.session;
    this.#forget();
    return isFirst ? null : "everything";
  }

  #forget() {
    this.entries = [];
    this.notices = [];
    this.state = EMPTY_STATE;
    this.figures = new Map();
    this.epoch += 1;
    this.#lastNumber = 0;
    this.#pairing = new Pairing(this.#limit);
  }

  #add(entries) {
    // After a reconnection the platform tells again what is here already.
    for (const entry of entries) {
      if (entry.n <= this.#lastNumber) continue;
      this.#lastNumber = entry.n;
      this.#note(entry);
      this.entries.push(entry);
    }
    const surplus = this.entries.length - this.#limit;
    if (surplus > 0) this.entries.splice(0, surplus);
    return "entries";
  }

  #note(entry) {
    entry.kind = kindOf(entry);
    const request = this.#requestOf(entry);
    entry.took = request === null ? null : entry.time - request.time;
    entry.requestNumber = request?.n ?? null;
  }

  #requestOf(entry) {
    if (entry.event === "tool_call_request") {
      if (this.#pairing.asked(entry)) this.#noteCall(entry);
      return null;
    }
    if (isAnswer(entry)) return this.#noteAnswer(entry, this.#pairing.answered(entry));
    if (entry.event === "phx_reply") return this.#pairing.replied(entry);
    this.#pairing.pushed(entry);
    return null;
  }

  #noteCall(entry) {
    const tool = fieldOf(entry, "tool_name");
    if (tool !== null) this.figuresOf(tool).asked();
  }

  #noteAnswer(entry, request) {
    // An answer that is sent again counts once.
    if (request === null || request.answers > 1 || request.tool === null) return request;
    const failed = entry.event === "tool_call_error";
    const type = failed ? word(entry.payload?.error?.type ?? "unknown") : null;
    this.figuresOf(request.tool).answered(entry.time - request.time, type);
    return request;
  }
}
