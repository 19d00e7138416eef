// Which entries are wanted: a conversation, kinds, and words. Pure.

import { indexFrom } from "./layout.js";

/** Whether an entry is wanted. The words all have to be somewhere in it. */
export function isWanted(entry, { conversation = null, kinds, words = [] }) {
  if (!kinds.has(entry.kind)) return false;
  if (conversation !== null && entry.conversation_id !== conversation) return false;
  if (words.length === 0) return true;
  const text = textOf(entry);
  return words.every((word) => text.includes(word));
}

export function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function textOf(entry) {
  // Kept, because the next letter that is typed asks for it again.
  entry.searched ??= [
    entry.event,
    entry.conversation_id,
    entry.topic,
    entry.excerpt ?? JSON.stringify(entry.payload),
  ]
    .join(" ")
    .toLowerCase();
  return entry.searched;
}

/** The wanted entries, found piece by piece, so that no picture waits for them. */
export class Selection {
  entries = [];
  #filter;
  #scanned = 0;

  constructor(filter) {
    this.#filter = filter;
  }

  /**
   * Go on with what is new in `all`, as long as `mayGoOn()`. Gives whether the end was
   * reached, and how many entries fell off the beginning: `{done, dropped}`.
   */
  advance(all, mayGoOn = () => true) {
    const dropped = this.#drop(all[0]?.n ?? Infinity);
    let index = indexFrom(all, this.#scanned + 1);
    while (index < all.length && (index % 64 !== 0 || mayGoOn())) {
      const entry = all[index];
      this.#scanned = entry.n;
      if (isWanted(entry, this.#filter)) this.entries.push(entry);
      index += 1;
    }
    return { done: index >= all.length, dropped };
  }

  #drop(oldest) {
    const dropped = indexFrom(this.entries, oldest);
    if (dropped > 0) this.entries.splice(0, dropped);
    return dropped;
  }
}
