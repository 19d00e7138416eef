// Faults as buttons. What is pressed is what the platform says is active.

import { button, h, setAttribute, setText } from "./dom.js";
import { counted } from "./format.js";

const LASTS = "lasts until it is healed or pressed again";
const ARMED = "armed for the next time; heal disarms it";

/**
 * `once` happens now, `next` is armed, `lasts` goes on; `undo` is what ends the last kind
 * without healing everything.
 */
export const FAULTS = [
  { name: "cut", label: "Cut now", kind: "once", said: "connection", about: "Reset every agent's TCP connection." },
  { name: "cut_during_next_call", label: "Cut during call", kind: "next", about: "Reset the connection as soon as the next request has gone out, before its answer." },
  { name: "cut_inside_frame", label: "Cut inside frame", kind: "next", about: "Cut the next frame to an agent in its middle." },
  { name: "stall", label: "Stall reading", kind: "lasts", undo: ["resume", {}], about: "Read nothing from agents; their sockets stay open." },
  { name: "trickle", label: "Trickle", kind: "lasts", about: "Pass on a few bytes at a time." },
  { name: "never_confirm", label: "Never confirm", kind: "lasts", undo: ["never_confirm", { on: false }], about: "Pushes get no reply; joins and heartbeats still do." },
  { name: "redeliver", label: "Redeliver all", kind: "once", said: "request", about: "Ask every request of living conversations again, answered or not." },
  { name: "duplicate_next_call", label: "Duplicate next", kind: "next", about: "Send the next request twice." },
  { name: "refuse_join", label: "Refuse next join", kind: "next", options: { reason: "not now" }, about: "Answer the next join with an error that passes; agents try again." },
  { name: "refuse", label: "Refuse with 503", kind: "next", options: { status: 503 }, about: "Answer the next handshake with 503." },
  { name: "crash_channel", label: "Crash channel", kind: "once", said: "channel", about: "End every joined channel with phx_error." },
  { name: "close_channel", label: "Close channel", kind: "once", said: "channel", about: "End every joined channel with phx_close." },
  { name: "restart", label: "Restart platform", kind: "once", about: "The platform goes away and comes back on the same port." },
];

const WHEN = { next: ` ${ARMED}.`, lasts: ` ${LASTS}.`, once: "" };

export class FaultPanel {
  #ask;
  #announce;
  #buttons = new Map();
  #active = new Set();
  #heal;
  #outcome;

  /** `ask(name, options)` gives `{affected}`; `announce(text)` tells everybody. */
  constructor(root, ask, announce) {
    this.#ask = ask;
    this.#announce = announce;
    this.#outcome = root.querySelector(".outcome");
    this.#heal = root.querySelector(".heal");
    this.#heal.addEventListener("click", () => this.#perform("heal", {}, "Healed."));
    const grid = root.querySelector(".faults");
    for (const fault of FAULTS) grid.append(this.#make(fault));
  }

  show(active) {
    this.#active = new Set(active);
    for (const { name, kind } of FAULTS) {
      if (kind !== "once") setAttribute(this.#buttons.get(name), "aria-pressed", this.#active.has(name));
    }
    this.#heal.classList.toggle("needed", this.#active.size > 0);
  }

  #make(fault) {
    const about = fault.about + WHEN[fault.kind];
    const made = button(fault.label, () => this.#press(fault), {
      class: "fault",
      title: about,
      "aria-description": about,
      "aria-pressed": fault.kind === "once" ? null : "false",
      data: { fault: fault.name },
    });
    this.#buttons.set(fault.name, made);
    return h("li", {}, made);
  }

  #press(fault) {
    const isActive = this.#active.has(fault.name);
    if (isActive && fault.undo !== undefined) {
      return this.#perform(...fault.undo, `${fault.label}: over.`);
    }
    if (isActive) return this.#tell(`${fault.label} is active already; Heal ends it.`);
    return this.#perform(fault.name, fault.options ?? {}, null, fault);
  }

  async #perform(name, options, said, fault = null) {
    try {
      const { affected } = (await this.#ask(name, options)) ?? {};
      this.#tell(said ?? outcomeOf(fault, affected));
    } catch (error) {
      // A platform that restarts takes the console's connection with it.
      const isExpected = name === "restart" && error.type === "lost";
      this.#tell(isExpected ? "The platform restarts." : error.message);
    }
  }

  #tell(text) {
    setText(this.#outcome, text);
    this.#announce(text);
  }
}

/** What a fault has done, in words. Pure. */
export function outcomeOf(fault, affected) {
  if (typeof affected === "number" && fault.said !== undefined) {
    return `${fault.label}: ${counted(affected, fault.said)}.`;
  }
  return { once: `${fault.label}: done.`, next: `${fault.label}: armed.`, lasts: `${fault.label}: on.` }[
    fault.kind
  ];
}
