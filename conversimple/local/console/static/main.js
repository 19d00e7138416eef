// Wires the parts of the page together.

import { Connection, socketUrl } from "./connection.js";
import { beforeNextPicture, setAttribute, setText } from "./dom.js";
import { FaultPanel } from "./faults.js";
import { Messages } from "./messages.js";
import { AgentList, ConversationList } from "./sidebar.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";
import { ToolPanel } from "./toolpanel.js";

const find = (selector) => document.querySelector(selector);
const TICK = 1000;
const NOT_LET_IN =
  "There is no connection to the platform. If the address that it printed ends in #token=…, open all of that address.";

class Page {
  #store = new Store();
  #connection = new Connection(socketUrl());
  #viewed = null; // the conversation of the timeline; null is all of them
  #target = null; // the conversation that is called
  #awaited = null; // one that was started here and is to be chosen
  #wasLive = false; // a page that is refused is never told why
  #draw = beforeNextPicture(() => this.#show());

  constructor() {
    const announce = (text) => this.announce(text);
    const ask = (command, fields) => this.#connection.ask(command, fields);
    this.timeline = new Timeline(find("#timeline"), this.#store, {
      announce,
      fetchWhole: (n) => this.#tried(ask("entry", { n })),
    });
    this.tools = new ToolPanel(
      find("#tools"),
      this.#store,
      (conversation, tool, values) =>
        ask("call", {
          conversation_id: conversation.conversation_id,
          tool_name: tool,
          arguments: values,
        }),
      announce,
    );
    this.faults = new FaultPanel(find("#faults"), (name, options) => ask("fault", { name, options }), announce);
    this.agents = new AgentList(find("#agents"));
    this.conversations = new ConversationList(find("#conversations"), {
      choose: (id) => this.#choose(id),
      end: (id) => this.#tried(ask("end_conversation", { conversation_id: id })),
    });
    this.messages = new Messages(document);
  }

  start() {
    this.#connection.addEventListener("message", (event) => this.#receive(event.detail));
    this.#connection.addEventListener("change", () => this.#showConnection());
    find("#start").addEventListener("submit", (event) => this.#startConversation(event));
    find("#target").addEventListener("change", (event) => this.#choose(event.target.value));
    find("#retry").addEventListener("click", () => this.#connection.retry());
    connectTheme(find("#theme"));
    connectPanels(find("#panels"));
    this.#connection.start();
    setInterval(() => this.#tick(), TICK);
    this.#draw();
  }

  announce(text) {
    const place = find("#announcer");
    // The same text twice is said twice only if it was gone in between.
    place.textContent = "";
    requestAnimationFrame(() => (place.textContent = text));
  }

  #receive(message) {
    const changed = this.#store.take(message);
    if (changed === "everything") {
      this.timeline.forget();
      this.tools.forget();
    }
    if (changed === "notices" || changed === "everything") {
      this.messages.noticed(this.#store.notices);
      if (changed === "notices") this.announce(message.text);
    }
    if (changed === "entries" || changed === "everything") this.timeline.refresh();
    if (changed === "state" || changed === "everything") this.#draw();
  }

  #show() {
    const { state, stateTime } = this.#store;
    if (this.#awaited !== null && this.#store.conversation(this.#awaited) !== null) {
      this.#viewed = this.#target = this.#awaited;
      this.#awaited = null;
    }
    if (this.#store.conversation(this.#viewed) === null) this.#viewed = null;
    const target = this.#callable(state.conversations);
    this.agents.show(state.agents, stateTime);
    this.conversations.show(state.conversations, this.#viewed);
    this.faults.show(state.faults);
    this.messages.violated(state.violations);
    this.tools.show(target);
    this.timeline.choose(this.#viewed);
    this.#showTarget(state.conversations, target);
    this.#showCustomers(state.agents);
    setText(find("#source"), state.source ?? "");
    setText(find("#timeline-of"), this.#viewed ?? "all conversations");
  }

  /** The conversation to call: the chosen one, or else the latest that lives. */
  #callable(conversations) {
    const living = conversations.filter((each) => !each.ended);
    const chosen = living.find((each) => each.conversation_id === this.#target);
    return chosen ?? living.findLast((each) => each.registered) ?? living.at(-1) ?? null;
  }

  #showTarget(conversations, target) {
    const ids = conversations.filter((each) => !each.ended).map((each) => each.conversation_id);
    const select = find("#target");
    offer(select, ids, (id) => id);
    if (target !== null) select.value = target.conversation_id;
    find("#tools").dataset.empty = target === null;
    const agents = this.#store.state.agents.length;
    const address = `${location.host}/sdk/websocket`;
    const text =
      agents === 0
        ? `No agent is connected. Start one with the platform_url ws://${address}`
        : "Start a conversation to call tools.";
    setText(find("#no-target"), text);
  }

  #showCustomers(agents) {
    const customers = [...new Set(agents.map((agent) => agent.customer_id))];
    const select = find("#customer");
    const nameOf = (id) => agents.find((agent) => agent.customer_id === id)?.name ?? id;
    offer(select, customers, nameOf);
    select.hidden = customers.length < 2;
    setText(find("#start button"), select.hidden ? "Start a conversation" : "Start");
  }

  #choose(id) {
    this.#viewed = id;
    if (id !== null) this.#target = id;
    this.#draw();
  }

  async #startConversation(event) {
    event.preventDefault();
    const customer = find("#customer").value || null;
    const started = await this.#tried(
      this.#connection.ask("start_conversation", { customer_id: customer }),
    );
    if (started === null) return;
    this.#awaited = started.conversation_id;
    this.announce(`${started.conversation_id} has started.`);
    this.#draw();
  }

  /** Wait for an outcome; a failure is shown, and gives null. */
  async #tried(outcome) {
    try {
      const value = await outcome;
      setText(find("#problem"), "");
      return value;
    } catch (error) {
      setText(find("#problem"), error.message);
      return null;
    }
  }

  #showConnection() {
    const isLive = this.#connection.isLive;
    setAttribute(document.body, "data-live", isLive);
    const dueAt = this.#connection.dueAt;
    const seconds = dueAt === null ? 0 : Math.max(0, Math.ceil((dueAt - Date.now()) / 1000));
    setText(find("#live-word"), isLive ? "live" : dueAt === null ? "connecting" : "away");
    setText(find("#live-due"), isLive || dueAt === null ? "" : `again in ${seconds} s`);
    find("#retry").hidden = isLive || dueAt === null;
    this.#wasLive ||= isLive;
    if (!this.#wasLive && dueAt !== null) setText(find("#no-target"), NOT_LET_IN);
  }

  #tick() {
    this.agents.tick();
    this.tools.tick();
    if (!this.#connection.isLive) this.#showConnection();
  }
}

/** Have a select offer these values; what is chosen stays so. */
function offer(select, values, nameOf) {
  const old = [...select.options].map((option) => `${option.value}\n${option.textContent}`);
  const wanted = values.map((value) => `${value}\n${nameOf(value)}`);
  if (old.length === wanted.length && old.every((each, i) => each === wanted[i])) return;
  const chosen = select.value;
  select.replaceChildren(...values.map((value) => new Option(nameOf(value), value)));
  if (values.includes(chosen)) select.value = chosen;
}

function connectTheme(button) {
  const next = { system: "light", light: "dark", dark: "system" };
  const show = () => {
    const theme = globalThis.consoleTheme.get();
    setAttribute(button, "aria-label", `Theme: ${theme}. Change it`);
    setAttribute(button, "data-theme", theme);
    setText(button.querySelector(".theme-word"), theme);
  };
  button.addEventListener("click", () => {
    globalThis.consoleTheme.set(next[globalThis.consoleTheme.get()]);
    show();
  });
  show();
}

/** On a narrow screen one panel is seen at a time. */
function connectPanels(nav) {
  const buttons = [...nav.querySelectorAll("button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      document.body.dataset.panel = button.dataset.panel;
      for (const each of buttons) setAttribute(each, "aria-pressed", each === button);
    });
  }
}

new Page().start();
