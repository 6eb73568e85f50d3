// Draws the handle of an agent: 128 random bits. Apart from agent-key.ts, because apply code reaches that.

import { randomBytes } from "node:crypto";

/** Returns a new handle, `agent-` and 32 hex digits. */
export function newHandle(): string {
  return `agent-${randomBytes(16).toString("hex")}`;
}
