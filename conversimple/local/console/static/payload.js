// JSON on the screen, coloured, as text nodes.

import { h } from "./dom.js";
import { pieces, pretty } from "./json.js";

const MOST_COLOURED = 60_000;
const MOST_SHOWN = 400_000;

/** A box with a value; long ones lose their colours, and very long ones their end. */
export function jsonBox(value, label) {
  return textBox(pretty(value), label);
}

export function textBox(text, label) {
  // A region that scrolls has to be reached by the keyboard.
  const box = h("pre", { class: "json", tabindex: 0, role: "region", "aria-label": label });
  if (text.length > MOST_COLOURED) {
    const rest = text.length - MOST_SHOWN;
    box.textContent = text.slice(0, MOST_SHOWN);
    if (rest > 0) box.append(h("em", {}, `\n… ${rest} characters more: copy to see them`));
    return box;
  }
  for (const { kind, text: piece } of pieces(text)) {
    box.append(kind === "mark" ? piece : h("span", { class: `j-${kind}` }, piece));
  }
  return box;
}
