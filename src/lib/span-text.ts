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
