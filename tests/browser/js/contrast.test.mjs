import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../static/console.css", import.meta.url), "utf8");
const token = /--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g;
const colours = new Map([...css.matchAll(token)].map(([, name, ...pair]) => [name, pair]));

function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const part = parseInt(hex.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const GROUNDS = ["ground", "surface", "raised"];
const PAIRS = [
  ...["text", "soft", "accent", "bad", "so-so", "good"].flatMap((ink) =>
    GROUNDS.map((ground) => [ink, ground, 4.5]),
  ),
  ["accent-text", "accent", 4.5],
  ["accent", "accent-ground", 4.5],
  ["soft", "accent-ground", 4.5],
  ["so-so", "so-so-ground", 4.5],
  ["bad", "bad-ground", 4.5],
  ["text", "bad-ground", 4.5],
  ["text", "so-so-ground", 4.5],
  ["line-strong", "surface", 3],
];

test("texts can be read in light and in dark (WCAG AA)", () => {
  for (const [ink, ground, least] of PAIRS) {
    for (const theme of [0, 1]) {
      const ratio = contrast(colours.get(ink)[theme], colours.get(ground)[theme]);
      const where = `${ink} on ${ground}, ${["light", "dark"][theme]}: ${ratio.toFixed(2)}`;
      assert.ok(ratio >= least, where);
    }
  }
});
