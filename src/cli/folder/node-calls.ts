// The calls of syncs and imports: each includes what the earlier ones wrote, and waits for the rate of the caller.

import type { NodeCalls } from "../../folder/index.ts";
import { Fault } from "../../lib/fault.ts";
import { retry } from "../../lib/retry.ts";
import { askNode } from "../client.ts";
import type { Invocation } from "../command.ts";

/** Waits for the rate of the caller, which counts bytes too; the longest is a minute's worth. */
const RATE = { firstMs: 250, lastMs: 5000, tries: 30, jitter: 0.5 };
const ANSWER_MS = 120_000;

/** Returns the calls of a command. They reject with the signal's reason once it aborts. */
export function nodeCalls(invocation: Invocation, signal: AbortSignal): NodeCalls {
  let newest = "";
  const ask = async (operation: string, input: Readonly<Record<string, unknown>>) => {
    const options = newest === "" ? invocation.options : { ...invocation.options, minPosition: newest };
    const { body, position } = await askNode({ ...invocation, options }, operation, input, {
      signal,
      answerMs: ANSWER_MS,
    });
    newest = later(newest, position);
    return body;
  };
  return {
    ask: (operation, input) =>
      retry(() => ask(operation, input), {
        ...RATE,
        signal,
        mayRetry: (error) => error instanceof Fault && error.code === "rate_limited",
      }),
    position: () => newest,
  };
}

/** Returns the later of two positions; of two histories, that of the second one. */
function later(one: string, other: string): string {
  if (other === "") return one;
  const [before, after] = [one, other].map((position) => {
    const at = position.lastIndexOf("-");
    return { epoch: position.slice(0, at), seq: Number(position.slice(at + 1)) };
  });
  return before?.epoch === after?.epoch && Number(before?.seq) > Number(after?.seq) ? one : other;
}
