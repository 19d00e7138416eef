// When to dial again. Pure.

const FIRST = 250;
const FACTOR = 1.7;
const LONGEST = 5000;

/**
 * Milliseconds to wait before a try, counted from 0. The half of it is chance, so that
 * many pages do not come back at once.
 */
export function waitBefore(attempt, random = Math.random) {
  const full = Math.min(LONGEST, FIRST * FACTOR ** attempt);
  return full / 2 + (full / 2) * random();
}
