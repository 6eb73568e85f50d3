// authenticate_agent and refresh_token: the identity is the tailnet's. A token is the handle of an agent and nothing
// else, so it gives no right.

import { z } from "zod";
import { foldedAgentName } from "../../lib/agent-key.ts";
import { Fault } from "../../lib/fault.ts";
import type { MacroSteps } from "../../operation/define.ts";
import { handleIn, tokenOf } from "./ids.ts";
import { TOKEN_EXAMPLE, tool } from "./tool.ts";

/** After how long clients ask for another token. One stays valid until its name is taken over. */
const TOKEN_SECONDS = 3600;
const PERMISSIONS = ["read", "write", "admin", "debug"] as const;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NAME_WORDS = "1 to 64 letters, digits, dots, underscores or hyphens, the first a letter or digit";
const TYPE = "generic";

const NOTE =
  "The tailnet proves who you are, and its grants are your permissions: agent_type, requested_permissions and the " +
  "token change neither. The token makes what you write appear under agent_id. It stays valid after expires_at, until " +
  "authenticate_agent or refresh_token is called for the same agent_id.";

/** The agents of one caller, all on one page (features/agent/register.ts has their bound). */
const agentsShape = z.object({ agents: z.array(z.object({ name: z.string(), type: z.string() })) });
const ALL_AGENTS = 500;

/** Who the caller is, in the words of `whoami`. */
const identityShape = z.looseObject({
  caller: z.string(),
  kind: z.string(),
  node: z.string(),
  agent: z.object({ name: z.string(), type: z.string() }).optional(),
  grants: z.array(z.looseObject({ role: z.string() })),
});

/** What the tailnet says of a caller. */
export interface Identity {
  caller: string;
  kind: string;
  node: string;
  agent?: { name: string; type: string };
  permissions: string[];
}

/** Asks who the caller is. Rejects with a Fault. */
export async function identityOf({ ask }: MacroSteps): Promise<Identity> {
  const { caller, kind, node, agent, grants } = identityShape.parse(await ask("whoami", {}));
  const roles = grants.map(({ role }) => role);
  return { caller, kind, node, ...(agent === undefined ? {} : { agent }), permissions: permissionsOf(roles) };
}

/** Returns the permissions that roles amount to anywhere. */
function permissionsOf(roles: readonly string[]): string[] {
  const has = (...wanted: string[]) => wanted.some((role) => roles.includes(role));
  const held = {
    read: roles.length > 0,
    write: has("member", "operator", "admin"),
    admin: has("admin"),
    debug: has("operator", "admin"),
  };
  return PERMISSIONS.filter((permission) => held[permission]);
}

/** Registers an agent and returns its token. */
export const authenticateAgent = tool({
  name: "authenticate_agent",
  title: "Take a name as an agent",
  search: "log in, sign in, token, who am I as an agent",
  description:
    "Gives you a name as an agent and returns a token for it. Who you are and what you may do is proved by the tailnet and decided by its grants: no key is needed, and neither the type nor the permissions that you ask for give a right. Returns token, agent_id, agent_type, permissions, expires_at, token_type, issued_at, token_format, identity.",
  input: {
    agent_id: z
      .string()
      .regex(NAME, NAME_WORDS)
      .describe("Your name as an agent. One of your caller's with the same agent_type is taken over."),
    agent_type: z.string().regex(NAME, NAME_WORDS).optional().describe(`What kind of agent (default: ${TYPE}).`),
    requested_permissions: z
      .array(z.enum(PERMISSIONS))
      .max(PERMISSIONS.length)
      .optional()
      .describe("Which permissions to list (default: read and write), as far as your grants have them."),
  },
  example: { agent_id: "reviewer", agent_type: "claude" },
  samples: { requested_permissions: ["read", "write"] },
  verb: "write",
  run: async (
    { agent_id: name, agent_type: type = TYPE, requested_permissions: wanted = ["read", "write"] },
    steps,
  ) => {
    const identity = await identityOf(steps);
    const takeover = await mayTakeOver(steps, identity.caller, name, type);
    const registered = await steps.ask("agent_register", { name, type, ...(takeover ? { takeover } : {}) });
    const permissions = identity.permissions.filter((each) => wanted.includes(each as (typeof PERMISSIONS)[number]));
    return { ...tokenPart(registered), permissions, identity: { ...shown(identity), note: NOTE } };
  },
});

/**
 * Reports whether the caller has an agent of this name and type, which is the client itself at an earlier start. Throws
 * Fault `agent_taken` where it has one of another type: that one would lose its handle and its type.
 */
async function mayTakeOver({ ask }: MacroSteps, caller: string, name: string, type: string): Promise<boolean> {
  const { agents } = agentsShape.parse(await ask("agent_list", { caller, limit: ALL_AGENTS }));
  const before = agents.find((each) => foldedAgentName(each.name) === foldedAgentName(name));
  if (before === undefined || before.type === type) return before !== undefined;
  const words = before.type === "" ? "without a type" : `of the type ${JSON.stringify(before.type)}`;
  const asItself = before.type === "" ? "" : `If you are that agent, give agent_type ${JSON.stringify(before.type)}. `;
  throw new Fault("agent_taken", `Your caller has an agent ${JSON.stringify(before.name)} ${words} already`, {
    hint:
      `Take another agent_id. ${asItself}To give the name up there, ` +
      `run: cairn agents leave --agent ${before.name}`,
    details: { field: "agent_id" },
  });
}

/** Exchanges a token for another one. */
export const refreshToken = tool({
  name: "refresh_token",
  title: "Get a new token",
  search: "renew a token, token expired",
  description:
    "Exchanges the token of an agent for a new one; the old one ends. Returns token, expires_in, expires_at, token_type, issued_at, token_format, agent_id, agent_type.",
  input: {
    current_token: z.string().min(1).max(256).describe("The token that authenticate_agent or refresh_token returned."),
  },
  example: { current_token: TOKEN_EXAMPLE },
  verb: "write",
  run: async ({ current_token: token }, { ask }) => {
    const as = handleIn(token);
    const { agent } = identityShape.parse(await ask("whoami", { as }));
    if (agent === undefined)
      throw new Fault("unavailable", "This node has no list of agents", { hint: "Ask a full member of the fleet." });
    return tokenPart(await ask("agent_register", { name: agent.name, takeover: true, as }));
  },
});

function tokenPart({ agent, type, handle, note }: Record<string, unknown>) {
  if (typeof handle !== "string")
    throw new Fault("unavailable", String(note ?? "The answer has no token"), {
      hint: "Call authenticate_agent again with another idempotency_key.",
    });
  const now = Date.now();
  return {
    token: tokenOf(handle),
    agent_id: String(agent),
    agent_type: String(type),
    token_type: "Protected",
    token_format: "sct_*",
    issued_at: new Date(now).toISOString(),
    expires_in: TOKEN_SECONDS,
    expires_at: new Date(now + TOKEN_SECONDS * 1000).toISOString(),
  };
}

function shown({ caller, kind, node }: Identity) {
  return { caller, kind, node, verified_by: "tailnet" };
}
