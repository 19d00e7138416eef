// Notices and violations: the latest in a line, all of them in a dialog.

import { h, setAttribute, setText } from "./dom.js";
import { count, shortClock } from "./format.js";

export class Messages {
  #banner;
  #bannerText;
  #latest;
  #noticesButton;
  #violationsButton;
  #dialog;
  #notices = [];
  #violations = [];

  constructor(root) {
    this.#banner = root.querySelector("#banner");
    this.#bannerText = root.querySelector("#banner p");
    root.querySelector("#banner button").addEventListener("click", () => this.#dismiss());
    this.#latest = root.querySelector("#latest");
    this.#dialog = root.querySelector("#messages");
    this.#noticesButton = root.querySelector("#show-notices");
    this.#violationsButton = root.querySelector("#show-violations");
    this.#noticesButton.addEventListener("click", () => this.#open("Notices"));
    this.#violationsButton.addEventListener("click", () => this.#open("Violations"));
    const close = () => this.#dialog.close();
    this.#dialog.querySelector(".close").addEventListener("click", close);
  }

  /** A notice came. One that is no problem takes away the banner of one that was. */
  noticed(notices) {
    const isNew = notices.length > 0 && notices.at(-1) !== this.#notices.at(-1);
    this.#notices = [...notices];
    setText(this.#noticesButton, `Notices ${count(notices.length)}`);
    const latest = notices.at(-1);
    const none = h("span", { class: "time" }, "No notices.");
    this.#latest.replaceChildren(...(latest === undefined ? [none] : lineOf(latest)));
    if (latest === undefined) this.#dismiss();
    if (!isNew) return;
    setAttribute(this.#banner, "data-level", latest.level);
    this.#banner.hidden = latest.level === "info";
    if (!this.#banner.hidden) setText(this.#bannerText, latest.text);
  }

  violated(violations) {
    this.#violations = violations;
    setText(this.#violationsButton, `Violations ${count(violations.length)}`);
    this.#violationsButton.classList.toggle("bad", violations.length > 0);
  }

  #dismiss() {
    this.#banner.hidden = true;
  }

  #open(title) {
    const items = title === "Notices" ? this.#notices.map(noticeItem) : this.#violations.map(violationItem);
    setText(this.#dialog.querySelector("h2"), title);
    const list = this.#dialog.querySelector("ol");
    list.replaceChildren(...items.reverse());
    const none = title === "Notices" ? "No notices so far." : "No agent has broken the protocol.";
    if (items.length === 0) list.append(h("li", { class: "empty" }, none));
    this.#dialog.showModal();
  }
}

function lineOf(notice) {
  return [
    h("span", { class: "level", data: { level: notice.level } }, notice.level),
    h("span", { class: "time" }, shortClock(notice.time)),
    h("span", { class: "notice-text" }, notice.text.split("\n", 1)[0]),
  ];
}

function noticeItem(notice) {
  return h(
    "li",
    {},
    h("div", {}, ...lineOf(notice).slice(0, 2)),
    h("pre", {}, notice.text),
  );
}

function violationItem(violation) {
  return h(
    "li",
    {},
    h("div", {}, h("span", { class: "time" }, shortClock(violation.time)), violation.problem),
    h("pre", {}, violation.excerpt),
  );
}
