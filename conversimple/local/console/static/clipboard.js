// Copying, also where the page came by plain http from another machine.

import { h } from "./dom.js";

/** Copy a text. Gives whether it worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyFromSelection(text); // no secure context, or no permission
  }
}

function copyFromSelection(text) {
  const focused = document.activeElement;
  const area = h("textarea", { class: "visually-hidden", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus?.();
  return copied;
}
