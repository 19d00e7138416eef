// Numbers and moments as short texts.

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});
const SHORT_CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const COUNT = new Intl.NumberFormat("en-US");

/** A moment, in seconds since the epoch, as the time of day with milliseconds. */
export function clock(seconds) {
  return Number.isFinite(seconds) ? CLOCK.format(seconds * 1000) : "";
}

export function shortClock(seconds) {
  return Number.isFinite(seconds) ? SHORT_CLOCK.format(seconds * 1000) : "";
}

/** A duration, in seconds, with three digits at most: "12.3 ms", "4.56 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const size = Math.abs(seconds);
  if (size < 0.9995) return `${digits(seconds * 1000)} ms`;
  if (size < 119.5) return `${digits(seconds)} s`;
  if (size < 7170) return `${digits(seconds / 60)} min`;
  return `${digits(seconds / 3600)} h`;
}

function digits(number) {
  const size = Math.abs(number);
  return number.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

export function count(number) {
  return COUNT.format(number);
}

/** "1 call", "2 calls". */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  if (number < 1e6) return `${digits(number / 1000)} kB`;
  return `${digits(number / 1e6)} MB`;
}
