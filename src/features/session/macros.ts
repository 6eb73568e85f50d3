// session_start and session_end: the first and the last call of an agent that works with others, each made of the calls
// that it would make one by one.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { AGENT_NAME } from "../../lib/agent-key.ts";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { positionArgument } from "../../operation/wait-arguments.ts";
import { MAX_PURPOSE } from "./arguments.ts";
import { sessionCreate } from "./create.ts";
import { sessionGet } from "./get.ts";
import { sessionAliases, sessionId, spaceArgument } from "./ids.ts";
import { inbox } from "./inbox.ts";
import { sessionList } from "./list.ts";
import { messageList } from "./message-list.ts";
import { messagePost } from "./post.ts";
import { shownMessage } from "./shown.ts";
import { sessionClose, sessionJoin } from "./state.ts";

/** Messages of the session and of the inbox in a brief. */
const BRIEF = 20;
/** Most leases that one call takes or gives back. */
const MAX_LEASES = 16;
/** Most characters of a summary. */
const MAX_SUMMARY = 20_000;

const lease = z.object({
  name: z.string(),
  granted: z.boolean(),
  fence: z.string().optional(),
  safe_seconds: z.number().optional(),
  refused: z.string().optional().describe("Why it was not granted, with the holder."),
});

const startInput = z.object({
  session: sessionId.optional().describe("The session to join; left out: the open one of this purpose, or a new one."),
  purpose: z.string().min(1).max(MAX_PURPOSE).optional().describe("What you want to do together, without session."),
  space: spaceArgument.optional().describe("The space of the purpose (default: default)."),
  name: z
    .string()
    .regex(AGENT_NAME, "a name: 1 to 64 letters, digits, dots, underscores or hyphens, the first a letter or digit")
    .optional()
    .describe("Your name as an agent. A name of your caller is taken over, which ends its old handle."),
  type: z.string().regex(AGENT_NAME).optional().describe("What kind of agent, such as reviewer."),
  lease: z.string().min(1).max(256).optional().describe("A name to lease for your work, such as team-a/src/main.ts."),
  since: positionArgument.optional().describe("Where you stopped last time (position): the brief begins there."),
});

/** Begins to work in a session. */
export const sessionStart = macro({
  name: "session_start",
  title: "Start to work with others",
  search: "begin, join, collaborate, check in, onboard, sign in as an agent, brief me",
  description:
    "Use it first: registers you as an agent if you give a name, joins a session or begins one, takes a lease if you name one, and returns a brief: purpose, participants, the last messages (or all since a position), your inbox. Give the returned handle as `as` with every later call. The steps are agent_register, session_join or session_create, lease_acquire, session_get and inbox.",
  input: startInput,
  example: { purpose: "Release 1.0 of the parser", space: "team-a" },
  samples: {
    session: "team-a/session_0123456789abcdef",
    ...{ name: "reviewer", type: "reviewer", lease: "team-a/src/main.ts", since: "1f3a9c0b22-7" },
  },
  output: sessionGet.output.extend({
    acting_as: z.string().optional().describe("Your name as an agent."),
    handle: z.string().optional().describe("A secret: give it as `as` with each call of this agent."),
    note: z.string().optional(),
    lease: lease.optional(),
    inbox: z.array(shownMessage.extend({ why: z.array(z.string()) })),
    newer: z.string().optional().describe("There are more messages: pass it to message_list as after."),
  }),
  access: {
    verb: "write",
    spaces: ({ session, space }) => [session === undefined ? (space ?? "default") : spaceOf(session)],
  },
  hints: { idempotent: true },
  aliases: { ...sessionAliases, agent: "name", agent_name: "name", agent_type: "type", topic: "purpose" },
  async run(input, steps) {
    const agent = input.name === undefined ? {} : await register(steps, input.name, input.type);
    const session = await entered(steps, input);
    const taken = input.lease === undefined ? undefined : await leased(steps, input.lease, input.purpose);
    const got = sessionGet.output.parse(await steps.ask(sessionGet.name, { session, limit: BRIEF }));
    const sinceThen = input.since === undefined ? {} : await messagesSince(steps, session, input.since);
    const { messages } = inbox.output.parse(
      await steps.ask(inbox.name, { limit: BRIEF, ...(input.since === undefined ? {} : { since: input.since }) }),
    );
    return { ...got, ...sinceThen, ...agent, ...(taken === undefined ? {} : { lease: taken }), inbox: messages };
  },
});

async function register({ ask }: MacroSteps, name: string, type: string | undefined) {
  const more = type === undefined ? {} : { type };
  const { agent, handle, note } = await ask("agent_register", { name, takeover: true, ...more });
  return {
    acting_as: String(agent),
    ...(typeof handle === "string" ? { handle } : {}),
    ...(typeof note === "string" ? { note } : {}),
  };
}

/** Returns the session that was joined or begun. */
async function entered({ ask }: MacroSteps, { session, purpose, space = "default" }: z.output<typeof startInput>) {
  if (session !== undefined) {
    await ask(sessionJoin.name, { session });
    return session;
  }
  if (purpose === undefined)
    throw new Fault("invalid_input", "session_start needs a session or a purpose", {
      hint: 'Give session, as session_list shows it, or purpose: "what you want to do together".',
      details: { field: "purpose" },
    });
  const { sessions } = sessionList.output.parse(await ask(sessionList.name, { space, state: "open", limit: 200 }));
  const known = sessions.find((each) => each.purpose === purpose);
  if (known === undefined) return String((await ask(sessionCreate.name, { purpose, space }))["session"]);
  await ask(sessionJoin.name, { session: known.session });
  return known.session;
}

/** A lease that another one holds is part of the brief, and no failure of it. */
async function leased(
  { tryAsk }: MacroSteps,
  name: string,
  purpose: string | undefined,
): Promise<z.infer<typeof lease>> {
  const what = purpose === undefined ? {} : { for: purpose.slice(0, 200) };
  const got = await tryAsk("lease_acquire", { name, ...what });
  if (got instanceof Fault) return { name, granted: false, refused: got.message };
  return {
    name,
    granted: got["granted"] === true,
    fence: String(got["fence"]),
    safe_seconds: Number(got["safe_seconds"]),
  };
}

async function messagesSince({ ask }: MacroSteps, session: string, since: string) {
  const page = messageList.output.parse(await ask(messageList.name, { session, after: since }));
  return { messages: page.messages, older: undefined, newer: page.newer };
}

const endInput = z.object({
  session: sessionId,
  summary: z
    .string()
    .min(1)
    .max(MAX_SUMMARY)
    .optional()
    .describe("What was done, decided and left open: kept as a context, and posted."),
  fences: z
    .array(z.string().min(1).max(600))
    .max(MAX_LEASES)
    .optional()
    .describe("Fences of leases to give back, as lease_acquire returned them."),
  close: z.boolean().optional().describe("Also close the session for all (default: false)."),
});

/** Ends the work in a session. */
export const sessionEnd = macro({
  name: "session_end",
  title: "End your work with others",
  search: "finish, sign off, hand over, wrap up, leave, summary of a session",
  description:
    "Use it last: gives back leases, keeps your summary as a context (SPACE/sessions/ID/summary, whose history keeps earlier ones), posts it in the session, and closes the session if you ask for that. The steps are lease_release, context_put, message_post and session_close.",
  input: endInput,
  example: { session: "team-a/session_0123456789abcdef", summary: "The parser is ready; the docs are open." },
  samples: { fences: ["team-a/src/main.ts@1-57"] },
  output: z.object({
    session: z.string(),
    summary: z.string().optional().describe("Id of the context with the summary."),
    message: z.string().optional().describe("The message with the summary."),
    released: z.array(z.string()).describe("Names of the leases that were given back."),
    closed: z.boolean(),
  }),
  access: { verb: "write", spaces: ({ session }) => [spaceOf(session)] },
  hints: { idempotent: true },
  aliases: { ...sessionAliases, text: "summary", leases: "fences" },
  async run({ session, summary, fences = [], close = false }, steps) {
    // Given back first, so that whatever is refused later holds up no other agent.
    const released: string[] = [];
    for (const fence of fences) {
      const name = fence.slice(0, Math.max(0, fence.lastIndexOf("@")));
      const { released: was } = await steps.ask("lease_release", { name, fence });
      if (was === true) released.push(name);
    }
    const kept = summary === undefined ? {} : await keep(steps, session, summary);
    if (close) await steps.ask(sessionClose.name, { session });
    return { session, ...kept, released, closed: close };
  },
});

async function keep({ ask, tryAsk }: MacroSteps, session: string, summary: string) {
  const folder = `${spaceOf(session)}/sessions/${session.slice(session.indexOf("/") + 1)}`;
  const document = {
    content: summary,
    content_type: "text/markdown",
    tags: ["session-summary"],
    visibility: "public",
  };
  let id = `${folder}/summary`;
  const refused = await tryAsk("context_put", { ...document, id });
  if (refused instanceof Fault) {
    if (refused.code !== "id_taken" && refused.code !== "forbidden") throw refused;
    // Somebody has a private context there, which must get no summary of others.
    id = `${folder}/summary-${sha256Hex(`${session}\n${summary}`).slice(0, 12)}`;
    await ask("context_put", { ...document, id });
  }
  const { message } = await ask(messagePost.name, {
    session,
    text: summary,
    kind: "summary",
    metadata: { context: id },
  });
  return { summary: id, message: String(message) };
}
