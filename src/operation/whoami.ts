// whoami: returns the identity of the caller, as the tailnet proves it, and its grants on this node.

import { z } from "zod";
import { callerName } from "../access/caller.ts";
import { read } from "./define.ts";

/** The operation. Every caller with any right may use it. */
export const whoami = read({
  name: "whoami",
  title: "Who am I",
  search: "my rights, permissions, which spaces I may use",
  description: "Returns who you are, as the tailnet proves it, and which roles you have in which spaces.",
  input: z.object({}),
  output: z.object({
    caller: z.string(),
    agent: z
      .object({ name: z.string(), type: z.string() })
      .optional()
      .describe("The agent as which you act; absent where you act as the caller itself, and on an edge."),
    kind: z.enum(["user", "tagged", "shared", "local"]),
    node: z.string(),
    login: z.string(),
    tags: z.array(z.string()),
    grants: z.array(
      z.object({
        role: z.string(),
        spaces: z.array(z.string()),
        tools: z.array(z.string()).optional(),
        requests_per_minute: z.number().optional(),
        agent_types: z.array(z.string()).optional(),
        preset: z.string().optional(),
      }),
    ),
    problems: z.array(z.string()).describe("Grants, or parts of them, that are ignored, and why."),
  }),
  access: { verb: "read", spaces: "visible" },
  local: true,
  run: (_reader, _input, { caller, agent, rights }) => ({
    caller: callerName(caller),
    ...(agent === undefined ? {} : { agent: { name: agent.name, type: agent.type } }),
    kind: caller.kind,
    node: caller.node,
    login: caller.login,
    tags: [...caller.tags],
    grants: rights.grants.map((grant) => ({
      role: grant.role,
      spaces: [...grant.spaces],
      ...(grant.tools === undefined ? {} : { tools: [...grant.tools] }),
      ...(grant.requestsPerMinute === undefined ? {} : { requests_per_minute: grant.requestsPerMinute }),
      ...(grant.agentTypes === undefined ? {} : { agent_types: [...grant.agentTypes] }),
      ...(grant.preset === undefined ? {} : { preset: grant.preset }),
    })),
    problems: [...rights.problems],
  }),
});
