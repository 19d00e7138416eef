// JSON without losses: numbers that a double cannot hold keep their digits.

const LONG_NUMBER = /\d{16}/;
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;
const canKeep = typeof JSON.rawJSON === "function";

/** Parse JSON. Throws a SyntaxError. */
export function parse(text) {
  if (!canKeep || !LONG_NUMBER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && needsDigits(value, context?.source)
      ? JSON.rawJSON(context.source)
      : value,
  );
}

function needsDigits(value, source) {
  if (source === undefined || String(value) === source) return false;
  return LONG_NUMBER.test(source);
}

/** Whether it stands for a number whose digits are kept. */
export function isNumber(value) {
  return typeof value === "number" || (canKeep && JSON.isRawJSON(value));
}

/** A number from its digits, or undefined: "1e400" and "" are none. */
export function numberFrom(text) {
  const trimmed = text.trim();
  if (trimmed === "" || !Number.isFinite(Number(trimmed))) return undefined;
  const number = Number(trimmed);
  const isExact = String(number) === trimmed || !LONG_NUMBER.test(trimmed);
  if (isExact || !canKeep) return number;
  try {
    return JSON.rawJSON(trimmed);
  } catch {
    return number; // "+1" is a number, but not in JSON
  }
}

export function pretty(value) {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

/** In one line, cut to a length. */
export function compact(value, length = 120) {
  const text = JSON.stringify(value) ?? "";
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/**
 * A value that ought to be a text, as a text. String() would run what a stranger calls
 * "toString", and fail.
 */
export function word(value, length = 80) {
  return typeof value === "string" ? value : compact(value, length);
}

export function isObject(value) {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !isNumber(value)
  );
}

/** Whether two JSON values are the same, whatever the order of keys. */
export function same(one, other) {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key])]));
}

/** Cut pretty JSON into pieces `{kind, text}`, for colours. */
export function* pieces(text) {
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > end) yield { kind: "mark", text: text.slice(end, match.index) };
    end = match.index + match[0].length;
    if (match[2] !== undefined) {
      yield { kind: "key", text: match[1] };
      yield { kind: "mark", text: match[2] };
    } else {
      yield { kind: match[1] === undefined ? "value" : "string", text: match[0] };
    }
  }
  if (end < text.length) yield { kind: "mark", text: text.slice(end) };
}
