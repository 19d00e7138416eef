// The tools of one conversation: a list, a form, the answers, and how long they took.

import { Answers } from "./answers.js";
import { KeyedList, button, h, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { percentile } from "./latency.js";
import { latencyPlot } from "./plot.js";
import { ToolForm } from "./toolform.js";

const FIGURES_PERIOD = 250; // milliseconds

export class ToolPanel {
  #root;
  #store;
  #call;
  #answers;
  #list;
  #place;
  #figures;
  #conversation = null;
  #chosen = null;
  #form = null;
  #drafts = new Map();
  #drawn = { tool: null, answers: -1, calls: -1, at: 0 };

  /** `call(conversation, tool, arguments)` gives the outcome. */
  constructor(root, store, call, announce) {
    this.#root = root;
    this.#store = store;
    this.#call = call;
    this.#place = root.querySelector(".tool");
    this.#figures = root.querySelector(".figures");
    this.#answers = new Answers(root.querySelector(".answers"), announce);
    this.#list = new KeyedList(
      root.querySelector(".tools-list"),
      (tool) => tool.name,
      (tool) => new ToolView(tool.name, () => this.choose(tool.name)),
    );
  }

  /** Show the tools of a conversation, or that there is none. */
  show(conversation) {
    this.#conversation = conversation;
    this.#refresh();
  }

  /** Another platform knows nothing of what was called here. */
  forget() {
    this.#answers.clear();
  }

  choose(name) {
    this.#chosen = name;
    this.#refresh();
  }

  tick() {
    this.#answers.tick();
    this.#showFigures();
  }

  #refresh() {
    const tools = this.#conversation?.tools ?? [];
    const tool = tools.find((each) => each.name === this.#chosen) ?? tools[0] ?? null;
    this.#list.show(tools.map((each) => ({ ...each, isChosen: each === tool })));
    this.#showForm(tool);
    this.#showFigures(true);
    const root = this.#root;
    setAttribute(root, "data-has-tool", tool !== null);
    setText(root.querySelector(".tool-count"), String(tools.length));
  }

  #showForm(tool) {
    if (tool !== null && this.#form?.isFor(tool)) return;
    if (this.#form !== null) this.#drafts.set(this.#form.name, this.#form.draft);
    this.#form = null;
    if (tool === null) {
      this.#place.replaceChildren();
      return;
    }
    const form = new ToolForm(tool, (values) => this.#send(tool.name, values));
    form.name = tool.name;
    const draft = this.#drafts.get(tool.name);
    if (draft !== undefined) form.restore(draft);
    this.#form = form;
    const about = h("p", { class: "tool-about" }, tool.description);
    this.#place.replaceChildren(h("h3", {}, tool.name), about, form.element);
  }

  #send(tool, values) {
    const outcome = this.#call(this.#conversation, tool, values);
    this.#answers.follow(tool, values, outcome);
  }

  // Figures

  #showFigures(now = false) {
    const name = this.#form?.name ?? null;
    const figures = name === null ? undefined : this.#store.figures.get(name);
    const key = { tool: name, answers: figures?.answers ?? 0, calls: figures?.calls ?? 0 };
    const drawn = this.#drawn;
    const isSame =
      drawn.tool === key.tool && drawn.answers === key.answers && drawn.calls === key.calls;
    const time = performance.now();
    if (isSame || (!now && time - drawn.at < FIGURES_PERIOD)) return;
    this.#drawn = { ...key, at: time };
    this.#figures.replaceChildren(...(name === null ? [] : figuresOf(figures)));
  }
}

function figuresOf(figures) {
  const title = h("h3", {}, "Latency");
  if (figures === undefined || figures.calls === 0) {
    return [title, h("p", { class: "empty" }, "Not called yet.")];
  }
  const sorted = figures.seconds;
  const cells = [
    ["calls", count(figures.calls)],
    ["errors", count(figures.failures)],
    ["p50", duration(percentile(sorted, 0.5))],
    ["p95", duration(percentile(sorted, 0.95))],
    ["longest", duration(sorted[sorted.length - 1])],
  ];
  const table = h(
    "dl",
    { class: "numbers" },
    ...cells.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
  const errors = [...figures.errors].sort(([, one], [, other]) => other - one);
  const list = h(
    "ul",
    { class: "error-counts", "aria-label": "Errors by type" },
    ...errors.map(([type, number]) => h("li", {}, h("span", {}, type), h("b", {}, count(number)))),
  );
  const plot = sorted.length > 0 ? latencyPlot(sorted) : null;
  return [title, table, plot, errors.length > 0 ? list : null].filter(Boolean);
}

class ToolView {
  constructor(name, choose) {
    this.about = h("span", { class: "tool-line" });
    this.choose = button("", choose, { class: "tool-choice" });
    this.choose.append(h("span", { class: "tool-name" }, name), this.about);
    this.element = h("li", {}, this.choose);
  }

  update(tool) {
    setText(this.about, tool.description);
    this.about.title = tool.description;
    setAttribute(this.choose, "aria-pressed", tool.isChosen);
  }
}
