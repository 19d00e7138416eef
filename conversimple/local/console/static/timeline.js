// The timeline: only the rows that are seen are in the document.

import { copy } from "./clipboard.js";
import { beforeNextPicture, button, setAttribute, setText } from "./dom.js";
import { count, counted } from "./format.js";
import { Layout, indexFrom } from "./layout.js";
import { Selection, wordsOf } from "./selection.js";
import { Row, frameOf } from "./timelinerow.js";
import { KINDS } from "./wire.js";

const OVERSCAN = 6;
const SLICE = 8; // milliseconds of a picture that looking for entries may take
const GUESSED_DETAIL = 200;

export class Timeline {
  #store;
  #actions;
  #scroller;
  #list;
  #status;
  #follow;
  #empty;
  #chips = new Map();

  #kinds = new Set(KINDS.filter((each) => each.shown).map((each) => each.kind));
  #words = [];
  #conversation = null;
  #selection;
  #rows = new Map();
  #open = new Map(); // n → height of what is below the line
  #active = null;
  #rowHeight = 28;
  #isFollowing = true;
  #missed = 0;
  #opened = null; // what was just opened is to be seen
  #held = null; // where the list stands still for it
  #draw = beforeNextPicture(() => this.#show());

  /** `actions`: fetchWhole(n), announce(text). */
  constructor(root, store, actions) {
    this.#store = store;
    this.#actions = {
      ...actions,
      toggle: (entry) => this.#toggle(entry),
      resized: () => this.#draw(),
    };
    this.#scroller = root.querySelector(".scroller");
    this.#list = root.querySelector(".rows");
    this.#status = root.querySelector(".status");
    this.#empty = root.querySelector(".empty");
    this.#follow = root.querySelector(".follow");
    this.#restart();
    this.#connect(root);
  }

  /** Show one conversation, or all of them for null. */
  choose(conversation) {
    if (conversation === this.#conversation) return;
    this.#conversation = conversation;
    this.#restart();
  }

  /** There is something new, or nothing any more. */
  refresh() {
    this.#draw();
  }

  forget() {
    this.#open.clear();
    this.#active = null;
    this.#restart();
  }

  #connect(root) {
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("focusin", (event) => this.#focused(event));
    this.#follow.addEventListener("click", () => this.#followAgain());
    new ResizeObserver(() => this.#resized()).observe(this.#scroller);
    const search = root.querySelector("input[type=search]");
    search.addEventListener("input", () => {
      this.#words = wordsOf(search.value);
      this.#restart();
    });
    root.querySelector(".copy-all").addEventListener("click", () => this.#copyAll());
    const chips = root.querySelector(".chips");
    for (const { kind, label } of KINDS) {
      const chip = button(label, () => this.#toggleKind(kind), { class: "chip" });
      setAttribute(chip, "aria-pressed", this.#kinds.has(kind));
      this.#chips.set(kind, chip);
      chips.append(chip);
    }
  }

  #resized() {
    // A narrow screen has higher rows.
    const row = getComputedStyle(this.#scroller).getPropertyValue("--row");
    this.#rowHeight = parseFloat(row) || this.#rowHeight;
    this.#draw();
  }

  #toggleKind(kind) {
    if (!this.#kinds.delete(kind)) this.#kinds.add(kind);
    setAttribute(this.#chips.get(kind), "aria-pressed", this.#kinds.has(kind));
    this.#restart();
  }

  #restart() {
    this.#selection = new Selection({
      conversation: this.#conversation,
      kinds: new Set(this.#kinds),
      words: this.#words,
    });
    for (const row of this.#rows.values()) row.element.remove();
    this.#rows.clear();
    this.#isFollowing = true;
    this.#missed = 0;
    this.#held = null;
    this.#draw();
  }

  // Drawing

  #show() {
    const before = this.#selection.entries.length;
    const oldLayout = this.#isFollowing ? null : this.#layout();
    const end = performance.now() + SLICE;
    const { done, dropped } = this.#selection.advance(
      this.#store.entries,
      () => performance.now() < end,
    );
    if (!done) this.#draw();
    if (!this.#isFollowing) this.#missed += this.#selection.entries.length - before + dropped;
    if (dropped > 0) this.#forgetDropped();
    let shift = dropped > 0 && oldLayout !== null ? oldLayout.top(dropped) : 0;
    // What was just opened has its height only after it is there.
    for (let turn = 0; turn < 3; turn += 1) {
      const changed = this.#place(shift);
      shift = 0;
      if (!changed) break;
    }
    this.#reveal();
    this.#tell(done);
  }

  #reveal() {
    const n = this.#opened;
    this.#opened = null;
    if (n === null || !this.#rows.has(n)) return;
    const layout = this.#layout();
    const index = indexFrom(this.#selection.entries, n);
    const { scrollTop, clientHeight } = this.#scroller;
    const top = layout.top(index);
    const hidden = layout.top(index + 1) - scrollTop - clientHeight;
    if (hidden > 0) this.#scroller.scrollTop = Math.min(top, scrollTop + hidden);
    this.#held = this.#scroller.scrollTop;
  }

  #layout() {
    return new Layout(this.#selection.entries, this.#rowHeight, this.#open);
  }

  /** Put the rows where they belong; gives whether a height was other than thought. */
  #place(shift) {
    const entries = this.#selection.entries;
    const layout = this.#layout();
    const scroller = this.#scroller;
    const height = `${layout.height}px`;
    if (this.#list.style.height !== height) this.#list.style.height = height;
    if (shift !== 0) scroller.scrollTop -= shift;
    if (this.#isFollowing) scroller.scrollTop = layout.height;
    const top = scroller.scrollTop;
    const [first, end] = layout.between(top, top + scroller.clientHeight, OVERSCAN);
    const wanted = new Map();
    for (let index = first; index < end; index += 1) wanted.set(entries[index].n, index);
    this.#keepFocused(wanted);
    for (const [n, row] of this.#rows) {
      if (wanted.has(n)) continue;
      row.element.remove();
      this.#rows.delete(n);
    }
    for (const [n, index] of wanted) this.#placeRow(n, index, layout);
    this.#rove(entries[layout.at(top)]?.n ?? null);
    return this.#measure(wanted);
  }

  #keepFocused(wanted) {
    // A row that is scrolled away keeps the focus, or the next key would go nowhere.
    const row = this.#rows.get(this.#active);
    if (row === undefined || !row.element.contains(document.activeElement)) return;
    const index = indexFrom(this.#selection.entries, this.#active);
    if (this.#selection.entries[index]?.n === this.#active) wanted.set(this.#active, index);
  }

  #placeRow(n, index, layout) {
    const entries = this.#selection.entries;
    let row = this.#rows.get(n);
    if (row === undefined) {
      row = new Row(entries[index], this.#actions);
      this.#rows.set(n, row);
      row.setOpen(this.#open.has(n));
      this.#insert(row, n);
    }
    row.place(layout.top(index), index, entries.length, entries[index - 1]);
  }

  #insert(row, n) {
    // Who reads the document in its order finds the rows in theirs.
    row.element.dataset.n = n;
    let before = this.#list.lastElementChild;
    while (before !== null && Number(before.dataset.n) > n) before = before.previousElementSibling;
    if (before === null) this.#list.prepend(row.element);
    else before.after(row.element);
  }

  #measure(wanted) {
    let changed = false;
    for (const [n, known] of this.#open) {
      if (!wanted.has(n)) continue;
      const height = this.#rows.get(n).detailHeight;
      if (height === known) continue;
      this.#open.set(n, height);
      changed = true;
    }
    return changed;
  }

  #rove(firstSeen) {
    const active = this.#rows.has(this.#active) ? this.#active : firstSeen;
    for (const [n, row] of this.#rows) row.line.tabIndex = n === active ? 0 : -1;
  }

  #tell(done) {
    const shown = this.#selection.entries.length;
    const all = this.#store.entries.length;
    const found = shown === all ? counted(all, "event") : `${count(shown)} of ${counted(all, "event")}`;
    setText(this.#status, done ? found : `${found}, looking…`);
    this.#empty.hidden = shown > 0;
    const text = all === 0 ? "Nothing has crossed the wire yet." : "No event fits the filter.";
    setText(this.#empty, text);
    setAttribute(this.#follow, "aria-pressed", this.#isFollowing);
    const missed = !this.#isFollowing && this.#missed > 0;
    setText(this.#follow, missed ? `↓ ${count(this.#missed)} new` : "↓ Follow");
  }

  #forgetDropped() {
    const oldest = this.#store.entries[0]?.n ?? Infinity;
    for (const n of this.#open.keys()) if (n < oldest) this.#open.delete(n);
  }

  // What the user does

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    if (scrollTop === this.#held) return; // not the user has scrolled, but #reveal
    this.#held = null;
    this.#isFollowing = scrollTop + clientHeight >= scrollHeight - 2;
    if (this.#isFollowing) this.#missed = 0;
    this.#draw();
  }

  #followAgain() {
    this.#held = null;
    this.#isFollowing = true;
    this.#missed = 0;
    this.#draw();
  }

  #toggle(entry) {
    const isOpen = !this.#open.has(entry.n);
    if (isOpen) this.#open.set(entry.n, GUESSED_DETAIL);
    else this.#open.delete(entry.n);
    this.#rows.get(entry.n)?.setOpen(isOpen);
    // Whoever reads a payload does not want it to be carried off by what comes next.
    if (isOpen) this.#isFollowing = false;
    else requestAnimationFrame(() => this.#closed());
    this.#opened = isOpen ? entry.n : null;
    this.#draw();
  }

  #closed() {
    this.#held = null;
    this.#scrolled();
  }

  #focused(event) {
    const row = event.target.closest(".row");
    if (row !== null) this.#active = Number(row.dataset.n);
  }

  #key(event) {
    const row = event.target.closest(".row");
    if (row === null) return;
    if (event.key === "Escape" && this.#open.has(this.#active)) {
      this.#toggle(this.#rows.get(this.#active).entry);
      this.#rows.get(this.#active)?.line.focus();
      event.preventDefault();
    } else if (event.target.classList.contains("line")) {
      const page = Math.max(1, Math.floor(this.#scroller.clientHeight / 40));
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
      const far = { Home: -Infinity, End: Infinity };
      const move = step[event.key] ?? far[event.key];
      if (move === undefined) return;
      event.preventDefault();
      this.#move(move);
    }
  }

  #move(step) {
    const entries = this.#selection.entries;
    const from = indexFrom(entries, this.#active ?? 0);
    const index = Math.min(entries.length - 1, Math.max(0, from + step));
    this.#active = entries[index].n;
    const layout = this.#layout();
    const top = layout.top(index);
    const { scrollTop, clientHeight } = this.#scroller;
    this.#isFollowing = index === entries.length - 1;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + 60 > scrollTop + clientHeight) {
      this.#scroller.scrollTop = top + 60 - clientHeight;
    }
    this.#place(0);
    this.#rows.get(this.#active)?.line.focus({ preventScroll: true });
    this.#draw();
  }

  async #copyAll() {
    const lines = this.#selection.entries.map((entry) =>
      JSON.stringify({ time: entry.time, sender: entry.sender, frame: frameOf(entry) }),
    );
    const copied = await copy(lines.join("\n"));
    const what = counted(lines.length, "event");
    this.#actions.announce(copied ? `${what} copied.` : "The browser did not let it be copied.");
  }
}
