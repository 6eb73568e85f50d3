// Spans of time in words for people.

const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
] as const;

/** Returns a span in ms in its largest whole unit. */
export function spanText(spanMs: number): string {
  for (const [size, name] of UNITS) if (spanMs >= size) return `${Math.floor(spanMs / size)} ${name}`;
  return "0 s";
}

/** Returns a span in ms in its two largest units, such as `5 min 12 s`. */
export function exactSpanText(spanMs: number): string {
  const at = UNITS.findIndex(([size]) => spanMs >= size);
  const [unit, next] = [UNITS[at], UNITS[at + 1]];
  if (unit === undefined || next === undefined) return spanText(spanMs);
  const rest = spanText(spanMs % unit[0]);
  return rest.endsWith(` ${next[1]}`) && !rest.startsWith("0 ") ? `${spanText(spanMs)} ${rest}` : spanText(spanMs);
}
