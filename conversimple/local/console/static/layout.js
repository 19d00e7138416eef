// Where the rows of a long list are, when a few of them are taller. Pure.

/** The index of the first entry in ascending order of n that is not before `n`. */
export function indexFrom(entries, n) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries[middle].n < n) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Layout {
  #row;
  #length;
  #tall; // [index, extra height] in ascending order

  /** Heights in pixels; `extras` maps the numbers of entries to what they add. */
  constructor(entries, rowHeight, extras) {
    this.#row = rowHeight;
    this.#length = entries.length;
    this.#tall = [...extras]
      .map(([n, extra]) => [indexFrom(entries, n), extra, n])
      .filter(([index, , n]) => entries[index]?.n === n)
      .sort(([one], [other]) => one - other);
  }

  get height() {
    return this.top(this.#length);
  }

  /** Where a row begins. */
  top(index) {
    let extra = 0;
    for (const [tall, height] of this.#tall) {
      if (tall >= index) break;
      extra += height;
    }
    return index * this.#row + extra;
  }

  /** The row at a height, as an index from 0 to the last. */
  at(y) {
    let low = 0;
    let high = Math.max(0, this.#length - 1);
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.top(middle) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The rows between two heights: [first, after the last]. */
  between(top, bottom, overscan = 0) {
    if (this.#length === 0) return [0, 0];
    const first = Math.max(0, this.at(top) - overscan);
    const end = Math.min(this.#length, this.at(bottom) + 1 + overscan);
    return [first, end];
  }
}
