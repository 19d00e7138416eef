// How long a tool's calls took, as a picture.

import { s } from "./dom.js";
import { counted, duration } from "./format.js";
import { histogram, percentile, ticks } from "./latency.js";

const WIDTH = 360;
const HEIGHT = 96;
const PLOT = { left: 4, right: 356, top: 18, bottom: 76 };

/** A histogram on a scale of decades, with the median and the 95th percentile. */
export function latencyPlot(sorted) {
  const { bounds, counts } = histogram(sorted);
  const median = percentile(sorted, 0.5);
  const late = percentile(sorted, 0.95);
  const said =
    `Latency of ${counted(sorted.length, "call")}: median ${duration(median)}, ` +
    `95th percentile ${duration(late)}, longest ${duration(sorted[sorted.length - 1])}.`;
  const low = Math.log10(bounds[0]);
  const high = Math.log10(bounds[bounds.length - 1]);
  const x = (value) =>
    PLOT.left + ((Math.log10(value) - low) / (high - low)) * (PLOT.right - PLOT.left);
  return s(
    "svg",
    { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
    ...bars(bounds, counts, x),
    s("line", { class: "axis", x1: 0, x2: WIDTH, y1: PLOT.bottom, y2: PLOT.bottom }),
    ...axis(bounds, x),
    ...markers(median, late, x),
  );
}

function bars(bounds, counts, x) {
  const most = Math.max(...counts);
  return counts.map((number, bin) => {
    if (number === 0) return null;
    const height = Math.max(2, (number / most) * (PLOT.bottom - PLOT.top));
    const left = x(bounds[bin]) + 0.75;
    const width = x(bounds[bin + 1]) - left - 0.75;
    const box = { x: left, y: PLOT.bottom - height, width, height, rx: 1.5 };
    const from = `${duration(bounds[bin])} – ${duration(bounds[bin + 1])}`;
    return s("rect", { class: "column", ...box }, s("title", {}, `${counted(number, "call")}, ${from}`));
  });
}

function axis(bounds, x) {
  return ticks(bounds[0], bounds[bounds.length - 1]).flatMap((value) => [
    s("line", { class: "axis", x1: x(value), x2: x(value), y1: PLOT.bottom, y2: PLOT.bottom + 4 }),
    s("text", { class: "tick", x: x(value), y: HEIGHT - 6, "text-anchor": "middle" }, tick(value)),
  ]);
}

function tick(seconds) {
  if (seconds >= 0.999) return `${Number(seconds.toPrecision(1))} s`;
  if (seconds >= 0.000999) return `${Number((seconds * 1e3).toPrecision(1))} ms`;
  return `${Number((seconds * 1e6).toPrecision(1))} µs`;
}

function markers(median, late, x) {
  const medianX = x(Math.max(median, 1e-5));
  const lateX = x(Math.max(late, 1e-5));
  const mark = (kind, at, label, anchor) => [
    s("line", { class: `marker ${kind}`, x1: at, x2: at, y1: 4, y2: PLOT.bottom }),
    s("text", { class: `mark ${kind}`, x: at + (anchor === "end" ? -4 : 4), y: 12, "text-anchor": anchor }, label),
  ];
  const lateAnchor = lateX > WIDTH - 40 ? "end" : "start";
  const medianAnchor = medianX < 40 ? "start" : "end";
  if (lateX - medianX < 1 && lateAnchor === medianAnchor) {
    return mark("late", lateX, "p50 = p95", lateAnchor);
  }
  return [
    ...mark("median", medianX, "p50", medianAnchor),
    ...mark("late", lateX, "p95", lateAnchor),
  ];
}
