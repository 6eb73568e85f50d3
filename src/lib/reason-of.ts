// What a caught value says of itself.

/** Returns the message of an error, or the value as text where it is no error. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
