// A tool of shared-context-server as a macro over operations: each step is judged by the gate as the caller's own call,
// so a tool holds no rule about rights.

import { z } from "zod";
import type { Verb } from "../../access/rights.ts";
import { spaceOf } from "../../access/space.ts";
import { agentKeyOf } from "../../lib/agent-key.ts";
import type { Fault } from "../../lib/fault.ts";
import { type MacroOperation, type MacroSteps, macro } from "../../operation/define.ts";
import { handleIn } from "./ids.ts";
import { refused } from "./refusal.ts";

const SESSION = /^(?:[A-Za-z0-9._~:@-]{1,200}\/)?session_[0-9a-f]{16}$/;

/** The argument `session_id`. */
export const sessionArgument = z
  .string()
  .regex(
    SESSION,
    "must be session_ and 16 hexadecimal digits, after its space and a / where it has another than default",
  )
  .describe("Id of the session, as create_session returned it.");

/** The example of an id. */
export const SESSION_EXAMPLE = "team-a/session_0123456789abcdef";
/** The example of a token. */
export const TOKEN_EXAMPLE = "sct_01234567-89ab-cdef-0123-456789abcdef";

const authToken = z
  .string()
  .min(1)
  .max(256)
  .optional()
  .describe("Acts as the agent of this token. It gives no right: the tailnet says who you are.");

/** What every answer has; the members of each tool are in its description. */
const output = z.looseObject({ success: z.boolean() });

export interface ToolDefinition<S extends z.ZodRawShape> {
  name: string;
  title: string;
  description: string;
  search: string;
  input: S;
  example: Record<string, unknown>;
  samples?: Record<string, unknown>;
  verb: Extract<Verb, "read" | "write">;
  /** The space of a call. Default: that of its `session_id`, and for a call without one every visible space. */
  space?: (input: z.output<z.ZodObject<S>>) => string;
  maxInputBytes?: number;
  run(input: z.output<z.ZodObject<S>>, steps: MacroSteps): Promise<Record<string, unknown>>;
}

/** Defines a tool. `run` returns its answer without `success`. */
// biome-ignore lint/suspicious/noExplicitAny: tools of every input are in one list; invoke parses before it calls
export function tool<S extends z.ZodRawShape>(definition: ToolDefinition<S>): MacroOperation<any, typeof output> {
  const { input: shape, verb, space, run, samples, ...rest } = definition;
  const input = z.object({ ...shape, auth_token: authToken });
  const inSession = (given: unknown) => [spaceOf((given as { session_id: string }).session_id)];
  const ofCall = space === undefined ? inSession : (given: unknown) => [space(given as z.output<z.ZodObject<S>>)];
  return macro({
    ...rest,
    input,
    samples: { ...samples, auth_token: TOKEN_EXAMPLE } as never,
    example: rest.example as never,
    output,
    access: { verb, spaces: space === undefined && !("session_id" in shape) ? "visible" : ofCall },
    refused: (fault: Fault) => refused(fault),
    run: async (given, steps) => {
      const { auth_token: token, ...own } = given as { auth_token?: string };
      const answer = await run(own as z.output<z.ZodObject<S>>, actingBy(token, steps));
      return { success: true, ...answer };
    },
  });
}

/** Returns the steps as the agent of a token. Throws Fault `agent_unknown`. */
function actingBy(token: string | undefined, steps: MacroSteps): MacroSteps {
  if (token === undefined) return steps;
  const as = handleIn(token);
  return {
    ...steps,
    ask: (operation, input, signal) => steps.ask(operation, { ...input, as }, signal),
    tryAsk: (operation, input) => steps.tryAsk(operation, { ...input, as }),
    who: JSON.stringify([steps.who, agentKeyOf(as)]),
  };
}
