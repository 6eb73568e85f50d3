// Operations that are made of other operations: each step is a call of its own by the same caller, admitted, judged,
// limited and forwarded like one that a client makes. So a macro gives no right and holds no rule.

import { callerName } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Answer } from "./answer.ts";
import type { Call } from "./call.ts";
import { isKeyed, type MacroOperation, type Operation } from "./define.ts";
import type { CommonArguments } from "./parse-input.ts";

/** What a macro runs with. */
export interface MacroRun {
  call: Call;
  input: Record<string, unknown>;
  /**
   * Of the call. Each write in it gets an idempotency key made of that of the call; each read its consistency, and the
   * position that it has to show.
   */
  common: CommonArguments;
  agentKey: string | undefined;
  find: (name: string) => Operation;
  invoke: (call: Call) => Promise<Answer>;
  /** Returns the position that is applied on this node. */
  position: () => string;
}

/** What became of it. */
export interface MacroAnswer extends Answer {
  /** Key of the agent as which its last step acted: a step may register one. */
  agentKey: string | undefined;
}

/** Runs a macro. Rejects with the Fault of the step that failed; those before it are done. */
export async function runMacro(operation: MacroOperation, run: MacroRun): Promise<MacroAnswer> {
  const { call, input, common, find, invoke } = run;
  const { idempotencyKey: key, consistency, minPosition } = common;
  if (call.forwarded !== undefined) throw new Fault("forbidden", `${operation.name} is never forwarded`);
  let { agentKey } = run;
  let position = run.position();
  let steps = 0;
  const ofReads = {
    ...(consistency === "session" ? {} : { consistency }),
    ...(minPosition === undefined ? {} : { min_position: minPosition }),
  };
  const inputOf = (name: string, given: Record<string, unknown>): Record<string, unknown> => {
    const operation = find(name);
    return {
      ...(operation.kind === "write" ? {} : ofReads),
      ...given,
      ...(key !== undefined && isKeyed(operation) ? { idempotency_key: sha256Hex(`${key} ${steps} ${name}`) } : {}),
    };
  };
  const ask = async (name: string, given: Record<string, unknown>, signal = call.signal) => {
    steps += 1;
    const step: Call = {
      ...{ operation: name, caller: call.caller, signal, exact: true },
      input: inputOf(name, given),
      ...(call.client === undefined ? {} : { client: call.client }),
      ...(call.surface === undefined ? {} : { surface: call.surface }),
      ...(call.maxChars === undefined ? {} : { maxChars: call.maxChars }),
      ...(call.trace === undefined ? {} : { trace: call.trace }),
      ...(agentKey === undefined ? {} : { agentKey }),
      onAgent: (acting) => {
        agentKey = acting;
      },
    };
    const answer = await invoke(step);
    position = answer.position;
    return answer.output;
  };
  const tryAsk = async (name: string, given: Record<string, unknown>) => {
    try {
      return await ask(name, given);
    } catch (error) {
      if (error instanceof Fault && error.code !== "internal") return error;
      throw error;
    }
  };
  const { signal, surface = "other", trace } = call;
  const given = { signal, key, surface, who: whoOf(call, agentKey), ...(trace && { trace }) };
  const output = await operation.run(input, { ask, tryAsk, ...given });
  return { output, position, agentKey };
}

/** Two calls with the same text act as one and the same. */
function whoOf({ caller, client, surface }: Call, agentKey: string | undefined): string {
  const { id, readOnly } = caller;
  return JSON.stringify([callerName(caller), id, readOnly === true, agentKey ?? "", client ?? "", surface ?? ""]);
}
