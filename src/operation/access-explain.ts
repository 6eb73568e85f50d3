// access_explain: explains to an admin why a caller may or may not use a verb in a space of this node, and by which
// grant. Never an MCP tool.

import { z } from "zod";
import { callerName } from "../access/caller.ts";
import { explain } from "../access/explain.ts";
import { VERBS } from "../access/rights.ts";
import { Fault } from "../lib/fault.ts";
import { type ActOperation, act } from "./define.ts";
import { ACCESS, FIND_CALLERS } from "./node-parts.ts";
import type { Services } from "./services.ts";

const input = z.object({
  caller: z
    .string()
    .min(1)
    .max(512)
    .describe("A login, a tag, the name, id or address of a device, a caller as whoami shows it, or local."),
  verb: z.enum(VERBS),
  space: z.string().min(1).max(256).describe("The part of an id before the first slash."),
  operation: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe("For this operation only. Default: any that the grant names."),
});

const output = z.object({
  verb: z.enum(VERBS),
  space: z.string(),
  operation: z.string().optional(),
  callers: z.array(
    z.object({
      caller: z.string(),
      node: z.string(),
      kind: z.string(),
      allowed: z.boolean(),
      because: z.string(),
      grants: z.array(
        z.object({
          source: z.string(),
          role: z.string(),
          spaces: z.array(z.string()),
          tools: z.array(z.string()).optional(),
          allows: z.boolean(),
          reason: z.string(),
        }),
      ),
      problems: z.array(z.string()),
      note: z.string(),
    }),
  ),
});

/** Returns the operation for a node. */
export function accessExplain(node: Services): ActOperation<typeof input, typeof output> {
  return act({
    name: "access_explain",
    title: "Explain access",
    description: "Explains why a caller may or may not use a verb in a space of this node, and which grant decides.",
    input,
    example: { caller: "local", verb: "write", space: "team-a" },
    samples: { operation: "context_put" },
    output,
    access: { verb: "admin", spaces: "visible" },
    hints: { idempotent: true },
    async run({ caller: name, verb, space, operation }, context) {
      const found = await node.get(FIND_CALLERS)(name, context.signal);
      if (found.length === 0) {
        throw new Fault("not_found", `No caller is named ${JSON.stringify(name)}`, {
          hint: "Give a login such as ann@example.com, a tag, a device of the tailnet, its address, or local.",
        });
      }
      return {
        verb,
        space,
        ...(operation === undefined ? {} : { operation }),
        callers: found.map(({ caller, note }) => {
          const { allowed, because, grants, problems } = explain(node.get(ACCESS), caller, { verb, space, operation });
          return {
            caller: callerName(caller),
            node: caller.node,
            kind: caller.kind,
            allowed,
            because,
            grants: grants.map(({ source, grant, allows, reason }) => ({
              source,
              role: grant.role,
              spaces: [...grant.spaces],
              ...(grant.tools === undefined ? {} : { tools: [...grant.tools] }),
              allows,
              reason,
            })),
            problems: [...problems],
            note,
          };
        }),
      };
    },
  });
}
