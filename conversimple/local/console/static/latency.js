// How long tools take. Pure.

const KEPT = 2000;
const STEPS = [1, 2, 5];

/** The calls of one tool: how many, how they ended, how long they took. */
export class ToolFigures {
  calls = 0;
  answers = 0;
  errors = new Map();
  #seconds = [];
  #sorted = null;

  /** The latest durations, in ascending order. */
  get seconds() {
    this.#sorted ??= Float64Array.from(this.#seconds).sort();
    return this.#sorted;
  }

  get failures() {
    let total = 0;
    for (const number of this.errors.values()) total += number;
    return total;
  }

  asked() {
    this.calls += 1;
  }

  /** An answer came; seconds are null if its request is not known. */
  answered(seconds, errorType) {
    this.answers += 1;
    if (errorType !== null) {
      this.errors.set(errorType, (this.errors.get(errorType) ?? 0) + 1);
    }
    if (seconds === null) return;
    this.#seconds.push(Math.max(0, seconds));
    if (this.#seconds.length > 2 * KEPT) this.#seconds = this.#seconds.slice(-KEPT);
    this.#sorted = null;
  }
}

/** The nearest-rank percentile of sorted numbers; NaN of none. */
export function percentile(sorted, share) {
  if (sorted.length === 0) return NaN;
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/**
 * Count sorted positive numbers in bins whose bounds grow by the same factor: a tool's
 * times spread over decades. Gives `{bounds, counts}` with one bound more than counts.
 */
export function histogram(sorted, perDecade = 6) {
  if (sorted.length === 0) return { bounds: [], counts: [] };
  const floor = 1e-5;
  const index = (value) => Math.floor(Math.log10(Math.max(value, floor)) * perDecade + 1e-9);
  const first = index(sorted[0]) - 1;
  const last = index(sorted[sorted.length - 1]) + 1;
  const counts = new Array(last - first + 1).fill(0);
  for (const value of sorted) counts[index(value) - first] += 1;
  const bounds = counts.map((_, bin) => 10 ** ((first + bin) / perDecade));
  bounds.push(10 ** ((last + 1) / perDecade));
  return { bounds, counts };
}

/** Round numbers (1, 2, 5 × 10ⁿ) between two bounds, not more than a few. */
export function ticks(low, high, most = 5) {
  if (!(low > 0) || !(high > low)) return [];
  const all = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const step of STEPS) all.push(step * 10 ** power);
  }
  const inside = all.filter((value) => value >= low && value <= high);
  if (inside.length <= most) return inside;
  const decades = inside.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9);
  return decades.length >= 2 ? thinned(decades, most) : thinned(inside, most);
}

function thinned(values, most) {
  const step = Math.ceil(values.length / most);
  return values.filter((_, index) => index % step === 0);
}
