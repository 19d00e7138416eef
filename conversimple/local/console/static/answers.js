// The calls that were made here: each waits, and then has its answer, time or error.

import { copy } from "./clipboard.js";
import { button, h, setText } from "./dom.js";
import { duration, shortClock } from "./format.js";
import { compact, pretty } from "./json.js";
import { jsonBox } from "./payload.js";

const MOST = 8;

export class Answers {
  #list;
  #announce;
  #running = new Set();

  constructor(list, announce) {
    this.#list = list;
    this.#announce = announce;
  }

  /** Show a call and, when it comes, its outcome. */
  async follow(tool, callArguments, outcome) {
    const view = new AnswerView(tool, callArguments, this.#announce);
    for (const other of this.#list.children) other.open = false;
    this.#list.prepend(view.element);
    view.element.scrollIntoView({ block: "nearest" });
    while (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
    this.#running.add(view);
    try {
      view.settle(await outcome);
    } catch (error) {
      view.fail(error);
    } finally {
      this.#running.delete(view);
      view.element.scrollIntoView({ block: "nearest" });
    }
  }

  clear() {
    this.#list.replaceChildren();
  }

  /** Time passes for what is not answered. */
  tick() {
    for (const view of this.#running) view.tick();
  }
}

class AnswerView {
  #announce;
  #began = performance.now();

  constructor(tool, callArguments, announce) {
    this.tool = tool;
    this.#announce = announce;
    this.state = h("span", { class: "answer-state" }, "waiting");
    this.took = h("span", { class: "took" });
    this.body = h("div", { class: "answer-body" });
    this.element = h(
      "details",
      { class: "answer waiting", open: true },
      h(
        "summary",
        {},
        this.state,
        h("span", { class: "answer-tool" }, tool),
        h("span", { class: "answer-arguments" }, compact(callArguments, 80)),
        this.took,
        h("span", { class: "time" }, shortClock(Date.now() / 1000)),
      ),
      this.body,
    );
  }

  tick() {
    const waited = (performance.now() - this.#began) / 1000;
    if (waited > 0.5) setText(this.took, duration(Math.floor(waited)));
  }

  settle({ call_id: callId, seconds, result, error }) {
    setText(this.took, duration(seconds));
    if (error !== undefined) {
      this.#end("failed", `${this.tool} failed after ${duration(seconds)}: ${error.type}. ${error.message}`);
      this.#showError(error.type, error.message);
    } else {
      this.#end("ok", `${this.tool} answered in ${duration(seconds)}: ${compact(result, 200)}`);
      this.body.append(jsonBox(result, `Result of ${this.tool}`));
    }
    const what = error ?? result;
    const copied = async () =>
      this.#announce((await copy(pretty(what))) ? "Copied." : "The browser did not let it be copied.");
    this.body.append(
      h("div", { class: "tools" }, h("span", { class: "call-id" }, callId ?? ""), button("Copy", copied)),
    );
  }

  fail(error) {
    this.#end("failed", `${this.tool} was not answered. ${error.message}`);
    setText(this.took, "");
    this.#showError(error.type ?? error.name, error.message);
  }

  #showError(type, message) {
    this.body.append(h("p", { class: "error-type" }, type), h("p", { class: "error-text" }, message));
  }

  #end(state, said) {
    this.element.classList.replace("waiting", state);
    setText(this.state, state);
    this.#announce(said);
  }
}
