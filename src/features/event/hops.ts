// The fleets that passed an event on, in its extension `cairnhops`: how circles of fleets are found.

/** The extension with the ids of those fleets, the first one first, with commas between them. */
export const HOPS = "cairnhops";

/** Returns the ids in a value of the extension. */
export function hopsOf(value: unknown): string[] {
  return typeof value === "string" && value !== "" ? value.split(",") : [];
}
