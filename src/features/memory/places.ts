// Where memories are: contexts under <space>/memory/, those of an agent or a caller itself, of a session, and shared
// ones. The operation that says it, and the parts of ids.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { spaceProblem } from "../../lib/id-syntax.ts";
import { type MacroSteps, read } from "../../operation/define.ts";
import { ownerSegment } from "../../operation/kept-places.ts";
import { SCRUB_RULES } from "./scrub-rules.ts";

/** Where a memory is: with its agent alone, with a session, or for everyone who reads the space. */
export const SCOPES = ["own", "session", "shared"] as const;
/** One of SCOPES. */
export type Scope = (typeof SCOPES)[number];

/** Longest name of a space. */
const MAX_SPACE = 128;
const DEFAULT_SPACE = "default";
const SESSION = /^(?:([^/]+)\/)?(session_[0-9a-f]{16})$/;

/** Arguments that say which memories are meant. */
export const placeArguments = {
  space: z
    .string()
    .min(1)
    .max(MAX_SPACE)
    .refine((name) => spaceProblem(name) === undefined, "must be the name of a space")
    .optional()
    .describe("The space (default: that of the session or id, else default)."),
  session: z.string().max(200).regex(SESSION, "must be the id of a session").optional().describe("Of this session."),
};

/** The argument `scope`. */
export const scopeArgument = z.enum(SCOPES);

interface PlaceInput {
  space?: string | undefined;
  session?: string | undefined;
  /** A key, or the id of a memory. */
  key?: string | undefined;
}

const ID = /^([^/]+)\/memory\/(shared|agents|sessions)\/(.+)$/su;

/** Reports whether a key is the id of a memory. */
export function isMemoryId(key: string): boolean {
  return ID.test(key);
}

/** Returns the space that a call is about: what its id, its session or its argument says. */
export function spaceOfInput({ space, session, key = "" }: PlaceInput): string {
  const [, ofId] = ID.exec(key) ?? [];
  if (ofId !== undefined) return ofId;
  return session === undefined ? (space ?? DEFAULT_SPACE) : (SESSION.exec(session)?.[1] ?? DEFAULT_SPACE);
}

/** Throws Fault `invalid_input` where space, session and id of a call are of different spaces. */
export function refuseOtherSpace(input: PlaceInput): void {
  const space = spaceOfInput(input);
  const isOther = input.space !== undefined && input.space !== space;
  const ofSession = input.session === undefined ? space : (SESSION.exec(input.session)?.[1] ?? DEFAULT_SPACE);
  if (!isOther && ofSession === space) return;
  throw new Fault("invalid_input", "The space, the session and the id of this call are not of one space", {
    hint: "Leave space out: the session or the id says which it is.",
    details: { field: "space" },
  });
}

const prefix = z.string();

/** Returns the prefixes of ids. */
export const memoryPlaces = read({
  name: "memory_places",
  title: "Where memories are",
  search: "where is my memory, prefix of memories, which secrets are scrubbed",
  description:
    "Returns the prefixes of context ids under which memories are: yours, shared ones, and those of a session if you name one. Every memory is a context: context_history, context_diff and context_restore work on it too.",
  input: z.object(placeArguments),
  example: { space: "team-a" },
  samples: { session: "team-a/session_0123456789abcdef" },
  output: z.object({
    space: z.string(),
    own: prefix,
    shared: prefix,
    session: prefix.optional(),
    own_in_session: prefix.optional().describe("Yours, about the session."),
    owner: z.array(z.string()).describe("The names by which contexts say that you own them."),
    scrubs: z.array(z.string()).describe("Rules by which secrets are removed, unless the node switched them off."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOfInput(input)] },
  run(_reader, input, { agent, author, viewer }) {
    refuseOtherSpace(input);
    const space = spaceOfInput(input);
    const folder = (name: string) => `${space}/memory/${name}/`;
    const own = `${folder("agents")}${ownerSegment(agent?.name, author)}/`;
    const [, , session] = SESSION.exec(input.session ?? "") ?? [];
    return {
      space,
      own,
      shared: folder("shared"),
      ...(session === undefined
        ? {}
        : { session: `${folder("sessions")}${session}/`, own_in_session: `${own}${session}/` }),
      owner: [...viewer(space).callers],
      scrubs: SCRUB_RULES.map(({ name }) => name),
    };
  },
});

/** The prefixes of a call. */
export type Places = z.output<typeof memoryPlaces.output>;

/** Asks for them. */
export async function placesOf(steps: MacroSteps, { space, session, key }: PlaceInput): Promise<Places> {
  refuseOtherSpace({ space, session, key });
  const where = session === undefined ? { space: spaceOfInput({ space, key }) } : { session };
  return memoryPlaces.output.parse(await steps.ask(memoryPlaces.name, where));
}

/** Returns the prefix of a scope. Throws Fault `invalid_input` for that of a session without one. */
export function prefixOf(places: Places, scope: Scope): string {
  if (scope === "shared") return places.shared;
  if (scope === "own") return places.own_in_session ?? places.own;
  if (places.session !== undefined) return places.session;
  throw new Fault("invalid_input", "scope is session, and session is missing", {
    hint: 'Give session, such as "team-a/session_0123456789abcdef".',
    details: { field: "session" },
  });
}

/** What a context says of its readers, as far as it shows whose memory it is. */
interface Owned {
  id: string;
  visibility?: string | undefined;
  owner?: string | undefined;
  owner_agent?: string | undefined;
}

/**
 * Reports whether a context is a memory of the agent or caller in whose place it is: an import can put one there, and
 * an agent that had the name before, for all or for that agent. So the name of the caller counts too.
 */
export function isOfItsPlace({ id, visibility, owner, owner_agent: agent }: Owned, places: Places): boolean {
  const [, , folder, rest = ""] = ID.exec(id) ?? [];
  if (folder !== "agents") return true;
  if (visibility === undefined || owner === undefined) return false;
  if (ownerSegment(agent, owner) !== rest.slice(0, rest.indexOf("/"))) return false;
  return !id.startsWith(places.own) || places.owner.includes(owner);
}

/** What a memory is for its reader: one of SCOPES, or one of another agent or caller, which no key finds. */
export const SHOWN_SCOPES = [...SCOPES, "other"] as const;

/** Where a memory is for the agent or caller of a call, by its id. */
export interface Placed {
  scope: (typeof SHOWN_SCOPES)[number];
  key: string;
}

/** Returns scope and key of an id. */
export function placedAt(id: string, { own }: Pick<Places, "own">): Placed {
  const [, , folder, rest = id] = ID.exec(id) ?? [];
  if (folder === "shared") return { scope: "shared", key: rest };
  const key = rest.slice(rest.indexOf("/") + 1);
  if (folder === "sessions") return { scope: "session", key };
  return { scope: id.startsWith(own) ? "own" : "other", key };
}
