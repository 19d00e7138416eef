// Who is connected, and which conversations there are.

import { KeyedList, button, h, setAttribute, setText } from "./dom.js";
import { counted, duration } from "./format.js";
import { word } from "./json.js";

/** How an agent is: [word, colour]. Pure. */
export function conditionOf(agent) {
  const health = agent.health;
  if (health === null || health === undefined) return ["joined", "good"];
  if (health.ready === true) return ["ready", "good"];
  if (health.joined === true) return ["joined, not ready", "so-so"];
  return [word(health.state ?? "unknown"), health.state === "failed" ? "bad" : "so-so"];
}

/** What is known of an agent's work, in words; only what is not zero. Pure. */
export function workOf(agent) {
  const health = agent.health ?? {};
  const told = [counted(agent.conversations.length, "conversation")];
  const figures = [
    ["calls_running", "running"],
    ["calls_queued", "queued"],
    ["answers_unconfirmed", "unconfirmed"],
    ["abandoned_threads", "abandoned"],
  ];
  for (const [name, word] of figures) if (health[name] > 0) told.push(`${health[name]} ${word}`);
  return told.join(" · ");
}

export class AgentList {
  #list;
  #count;
  #empty;
  #views = [];
  #since = 0;

  constructor(root) {
    this.#count = root.querySelector(".count");
    this.#empty = root.querySelector(".empty");
    this.#list = new KeyedList(
      root.querySelector("ul"),
      (agent) => agent.connection,
      () => new AgentView(),
    );
  }

  show(agents, since) {
    this.#views = agents;
    this.#since = since;
    setText(this.#count, String(agents.length));
    this.#empty.hidden = agents.length > 0;
    this.tick();
  }

  /** Time passes for those who are silent. */
  tick() {
    const passed = Math.max(0, Date.now() / 1000 - this.#since);
    const aged = this.#views.map((agent) => ({
      ...agent,
      silent_for: (agent.silent_for ?? 0) + passed,
    }));
    this.#list.show(aged);
  }
}

class AgentView {
  constructor() {
    this.name = h("strong", { class: "agent-name" });
    this.dot = h("span", { class: "dot", "aria-hidden": "true" });
    this.word = h("span", { class: "word" });
    this.who = h("span", { class: "who" });
    this.work = h("span", {});
    this.heard = h("span", { class: "heard" });
    this.element = h(
      "li",
      { class: "agent" },
      h("div", { class: "agent-head" }, this.dot, this.name, this.word),
      h("div", { class: "agent-more" }, this.who, this.heard),
      h("div", { class: "agent-more" }, this.work),
    );
  }

  update(agent) {
    const [word, colour] = conditionOf(agent);
    setText(this.name, agent.name ?? agent.customer_id);
    setText(this.word, word);
    setAttribute(this.dot, "data-colour", colour);
    setText(this.who, `${agent.customer_id} · connection ${agent.connection}`);
    setText(this.work, workOf(agent));
    const silence = agent.silent_for;
    setText(this.heard, silence < 1 ? "heard now" : `heard ${Math.floor(silence)} s ago`);
    this.heard.title = `silent for ${duration(silence)}`;
  }
}

export class ConversationList {
  #list;
  #count;
  #empty;
  #all;
  #chosen = null;

  /** `actions`: choose(id or null), end(id). */
  constructor(root, actions) {
    this.#count = root.querySelector(".count");
    this.#empty = root.querySelector(".empty");
    this.#all = root.querySelector(".all");
    this.#all.addEventListener("click", () => actions.choose(null));
    this.#list = new KeyedList(
      root.querySelector("ul"),
      (conversation) => conversation.conversation_id,
      (conversation) => new ConversationView(conversation.conversation_id, actions),
    );
  }

  /** The newest first, those that have ended below the living. */
  show(conversations, chosen) {
    this.#chosen = chosen;
    const newest = [...conversations].reverse();
    const living = newest.filter((each) => !each.ended);
    const ended = newest.filter((each) => each.ended);
    setText(this.#count, String(living.length));
    this.#empty.hidden = conversations.length > 0;
    setAttribute(this.#all, "aria-pressed", chosen === null);
    const items = [...living, ...ended];
    this.#list.show(
      items.map((each) => ({ ...each, isChosen: each.conversation_id === this.#chosen })),
    );
  }
}

class ConversationView {
  constructor(id, actions) {
    this.name = h("span", { class: "conversation-id" }, id);
    this.more = h("span", { class: "conversation-more" });
    this.choose = button("", () => actions.choose(id), { class: "choose" });
    this.choose.append(this.name, this.more);
    this.end = button("End", () => actions.end(id), {
      class: "end",
      "aria-label": `End ${id}`,
    });
    this.element = h("li", { class: "conversation" }, this.choose, this.end);
  }

  update(conversation) {
    setAttribute(this.choose, "aria-pressed", conversation.isChosen);
    this.element.classList.toggle("ended", conversation.ended);
    const condition = conversation.ended
      ? "ended"
      : conversation.registered
        ? counted(conversation.tools.length, "tool")
        : "waits for an agent";
    const calls = counted(conversation.calls, "call");
    setText(this.more, `${conversation.customer_id} · ${condition} · ${calls}`);
    this.end.hidden = conversation.ended;
  }
}
