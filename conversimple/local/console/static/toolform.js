// The arguments of one tool: as a form, or as JSON.

import { button, h, newId, setAttribute, setText } from "./dom.js";
import { misfits, readArguments } from "./fits.js";
import { argumentsView } from "./formview.js";
import { pretty, same } from "./json.js";
import { fieldOf } from "./schema.js";

export class ToolForm {
  #field;
  #view;
  #tool;
  #isRaw = false;

  /** `call(arguments)` is told of what is to be sent. */
  constructor(tool, call) {
    this.#tool = tool;
    this.#field = fieldOf({ type: "object", ...tool.parameters });
    this.#view = argumentsView(this.#field);
    this.call = call;
    this.#build();
  }

  /** Whether it is the form for this tool, as it is registered now. */
  isFor(tool) {
    return this.#tool.name === tool.name && same(this.#tool, tool);
  }

  /** What has been filled in so far. */
  get draft() {
    if (!this.#isRaw) return { isRaw: false, value: this.#view.read() };
    return { isRaw: true, text: this.raw.value };
  }

  /** Take over what was filled into another form, as far as it fits. */
  restore(draft) {
    if (draft.isRaw) {
      this.#show(true);
      this.raw.value = draft.text;
      return;
    }
    if (misfits(this.#field, draft.value).length === 0) this.#view.write(draft.value);
  }

  #build() {
    const rawId = newId("raw");
    this.raw = h("textarea", { id: rawId, class: "code", rows: 8, spellcheck: "false" });
    this.rawPlace = h(
      "div",
      { class: "raw", hidden: true },
      h("label", { for: rawId }, "Arguments as JSON"),
      this.raw,
    );
    this.formButton = button("Form", () => this.#switch(false), { "aria-pressed": "true" });
    this.rawButton = button("JSON", () => this.#switch(true), { "aria-pressed": "false" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.formPlace = h("div", { class: "form-place" }, this.#view.element);
    if (this.#field.fields.length === 0 && this.#field.extra === null) {
      this.formPlace.append(h("p", { class: "empty" }, "It takes no arguments."));
    }
    const send = h("button", { type: "submit", class: "primary" }, "Call");
    send.append(h("kbd", { "aria-hidden": "true" }, "Ctrl ↵"));
    const reset = button("Reset", () => this.#reset());
    const ways = { class: "segments", role: "group", "aria-label": "Arguments as" };
    this.element = h(
      "form",
      { class: "tool-form", novalidate: true, "aria-label": `Arguments of ${this.#tool.name}` },
      h("div", { class: ways.class, role: ways.role, "aria-label": ways["aria-label"] }, this.formButton, this.rawButton),
      this.formPlace,
      this.rawPlace,
      this.problem,
      h("div", { class: "send" }, send, reset),
    );
    this.element.addEventListener("submit", (event) => this.#submit(event));
    this.element.addEventListener("keydown", (event) => {
      if (event.defaultPrevented) return; // a line of text has sent the form already
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.element.requestSubmit();
      }
    });
    this.element.addEventListener("input", () => this.#say(""));
  }

  #submit(event) {
    event.preventDefault();
    this.#say("");
    if (this.#isRaw) {
      const { value, problem } = readArguments(this.raw.value);
      if (problem === undefined) this.call(value);
      else this.#refuse(problem);
      return;
    }
    this.#view.check();
    if (this.element.reportValidity()) this.call(this.#view.read());
  }

  #switch(toRaw) {
    if (toRaw === this.#isRaw) return;
    this.#say("");
    if (toRaw) this.raw.value = pretty(this.#view.read());
    else if (!this.#readRaw()) return;
    this.#show(toRaw);
  }

  #readRaw() {
    const { value, problem } = readArguments(this.raw.value);
    const problems = problem === undefined ? misfits(this.#field, value) : [problem];
    if (problems.length > 0) {
      const more = problems.length > 3 ? ` … and ${problems.length - 3} more` : "";
      const text = `${problems.slice(0, 3).join("; ")}${more}`;
      this.#refuse(problem ?? `The form cannot show this: ${text}. It can be sent as JSON.`);
      return false;
    }
    this.#view.write(value);
    return true;
  }

  #show(isRaw) {
    this.#isRaw = isRaw;
    this.rawPlace.hidden = !isRaw;
    this.formPlace.hidden = isRaw;
    setAttribute(this.rawButton, "aria-pressed", isRaw);
    setAttribute(this.formButton, "aria-pressed", !isRaw);
  }

  #reset() {
    this.#say("");
    const fresh = argumentsView(this.#field);
    this.formPlace.firstElementChild.replaceWith(fresh.element);
    this.#view = fresh;
    this.raw.value = pretty(fresh.read());
  }

  #refuse(problem) {
    this.#say(problem);
    this.raw.focus();
  }

  #say(text) {
    setText(this.problem, text);
  }
}
