// Times as callers see them.

/** Returns a time in ms since 1970 as ISO 8601 in UTC, such as `2026-11-29T16:31:00.000Z`. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
