// One frame in the timeline: a line, and what is below it when it is open.

import { copy } from "./clipboard.js";
import { button, h, setAttribute, setText } from "./dom.js";
import { bytes, clock, duration } from "./format.js";
import { pretty, word } from "./json.js";
import { jsonBox, textBox } from "./payload.js";
import { isAnswer, isFailure, summary } from "./wire.js";

const MOST_SUMMARY = 200; // what no line has room for takes time to be laid out

export class Row {
  #entry;
  #detail = null;
  #took;

  /** `actions`: toggle(entry), fetchWhole(n), announce(text). */
  constructor(entry, actions) {
    this.#entry = entry;
    this.actions = actions;
    this.#took = h("span", { class: "took" });
    this.line = h(
      "button",
      { type: "button", class: "line", tabindex: -1, on: { click: () => actions.toggle(entry) } },
      h("span", { class: "time" }, clock(entry.time)),
      direction(entry),
      h("span", { class: "event", title: entry.event }, entry.event),
      h("span", { class: "summary" }, summary(entry).slice(0, MOST_SUMMARY)),
      this.#took,
    );
    this.element = h("li", { class: "row", data: { kind: entry.kind } }, this.line);
    if (isFailure(entry)) this.element.classList.add("failed");
  }

  get entry() {
    return this.#entry;
  }

  get detailHeight() {
    return this.#detail?.offsetHeight ?? 0;
  }

  place(top, index, size, previous) {
    this.element.style.transform = `translateY(${top}px)`;
    setAttribute(this.element, "aria-posinset", index + 1);
    setAttribute(this.element, "aria-setsize", size);
    const took = this.#entry.took;
    const sincePrevious = previous === undefined ? "" : `+${duration(this.#entry.time - previous.time)}`;
    setText(this.#took, took === null ? sincePrevious : duration(took));
    this.#took.classList.toggle("since-request", took !== null);
    this.#took.title = took === null ? "since the line before" : "since its request";
  }

  setOpen(isOpen) {
    setAttribute(this.line, "aria-expanded", isOpen);
    this.element.classList.toggle("open", isOpen);
    if (isOpen && this.#detail === null) {
      this.#detail = this.#makeDetail();
      this.element.append(this.#detail);
    } else if (!isOpen) {
      this.#detail?.remove();
      this.#detail = null;
    }
  }

  #makeDetail() {
    const entry = this.#entry;
    const isWhole = entry.excerpt === undefined;
    const place = h("div", { class: "payload" });
    const label = `Payload of ${entry.event}`;
    place.append(isWhole ? jsonBox(entry.payload, label) : textBox(`${entry.excerpt}…`, label));
    const tools = h("div", { class: "tools" });
    if (!isWhole) {
      const load = () => this.#load(place, tools);
      tools.append(button(`Show all ${bytes(entry.bytes)}`, load));
    }
    tools.append(
      button("Copy payload", () => this.#copy((whole) => whole.payload)),
      button("Copy frame", () => this.#copy(frameOf)),
    );
    return h("div", { class: "detail" }, facts(entry), place, tools);
  }

  async #load(place, tools) {
    const whole = await this.actions.fetchWhole(this.#entry.n);
    if (whole === null) return;
    place.replaceChildren(jsonBox(whole.payload, `Payload of ${this.#entry.event}`));
    tools.firstElementChild.remove();
    this.actions.resized();
  }

  async #copy(part) {
    const entry = this.#entry;
    const whole =
      entry.excerpt === undefined ? entry : await this.actions.fetchWhole(entry.n);
    if (whole === null) return;
    const copied = await copy(pretty(part(whole)));
    this.actions.announce(copied ? "Copied." : "The browser did not let it be copied.");
  }
}

function direction(entry) {
  const isToAgent = entry.sender === "server";
  return h(
    "span",
    { class: `direction ${isToAgent ? "to-agent" : "from-agent"}` },
    h("span", { "aria-hidden": "true" }, isToAgent ? "→" : "←"),
    h("span", { class: "visually-hidden" }, isToAgent ? "to the agent" : "from the agent"),
  );
}

function facts(entry) {
  const facts = [
    ["n", entry.n],
    ["topic", entry.topic],
    ["connection", entry.connection],
    ["join_ref", entry.join_ref],
    ["ref", entry.ref],
    ["size", bytes(entry.bytes)],
  ];
  if (entry.requestNumber !== null) {
    facts.push([isAnswer(entry) ? "answers" : "replies to", `n ${entry.requestNumber}`]);
  }
  const known = facts.filter(([, value]) => value !== null && value !== undefined);
  return h(
    "dl",
    { class: "facts" },
    ...known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, word(value)))),
  );
}

/** A frame as it goes over the wire. */
export function frameOf(entry) {
  return [entry.join_ref, entry.ref, entry.topic, entry.event, entry.payload];
}
