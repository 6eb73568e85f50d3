// Commands that a node proposes by itself, such as the duties of the leader.

import type { Command } from "./log.ts";

/** Returns a command of a node: it has no key, since what is proposed again is judged anew. */
export function nodeCommand({ name, v }: Pick<Command, "name" | "v">, input: unknown): Command {
  return { name, v, input, caller: "node", via: "", key: "" };
}
