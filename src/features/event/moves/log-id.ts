// Names of new logs in cursors; apart from the commands, which draw nothing.

/** Returns a new one. */
export function newLogId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(5))).toString("hex");
}
