// Calls at the nodes of a pair, as one caller that both nodes see the same way.

import type { Caller } from "../../src/access/caller.ts";
import type { Answer } from "../../src/operation/answer.ts";
import { granted } from "./core.ts";
import { type Pair, type PairNode, startPair } from "./pair.ts";

export const member = granted({ role: "member", spaces: ["*"] });

export async function pairFor(caller: Caller, options?: Parameters<typeof startPair>[0]): Promise<Pair> {
  const pair = await startPair(options);
  for (const { sees } of pair.nodes) sees.set(caller.id, caller);
  return pair;
}

export function ask(
  node: PairNode,
  operation: string,
  input: Record<string, unknown>,
  caller: Caller = member,
): Promise<Answer> {
  return node.core.invoker.invoke({ operation, input, caller, signal: new AbortController().signal });
}

export const put = (node: PairNode, content: unknown, more: Record<string, unknown> = {}, caller = member) =>
  ask(node, "context_put", { id: "team-a/x", content, ...more }, caller);
export const get = (node: PairNode, more: Record<string, unknown> = {}, caller = member) =>
  ask(node, "context_get", { id: "team-a/x", ...more }, caller);

export const versions = (node: PairNode): unknown =>
  node.core.store.reader.all("SELECT operation, caller, via, outcome FROM changes ORDER BY seq");
