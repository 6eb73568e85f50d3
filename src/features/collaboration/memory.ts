// set_memory, get_memory and list_memory: the caller's own memories, over all sessions or about one of them.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import type { MacroSteps } from "../../operation/define.ts";
import { metadataArgument } from "../../operation/metadata.ts";
import { identityOf } from "./identity.ts";
import { SESSION_EXAMPLE, sessionArgument, tool } from "./tool.ts";

/** Longest key; clients of the original may send 255 characters, and an id has no room for them. */
const MAX_KEY = 128;
const MAX_SECONDS = 31_536_000;
/** Below this clients are warned: it may be forgotten before it is read. */
const SHORT_SECONDS = 10;
const MAX_LISTED = 200;
/** Most pages that one list looks at. */
const MAX_PAGES = 20;
/** The beginning of the key of a memory about a session. */
const OF_SESSION = /^(session_[0-9a-f]{16})\/(.+)$/su;
const ALL = "all";

const keyArgument = z.string().min(1).max(255).describe(`A name of your choice, at most ${MAX_KEY} characters.`);
const ofSession = sessionArgument.optional().describe("About this session (default: over all sessions).");

const listedSession = z
  .string()
  .refine((given) => given === ALL || sessionArgument.safeParse(given).success, "must be the id of a session, or all");

const memoryShape = z.looseObject({
  key: z.string(),
  size: z.number(),
  created_at: z.string(),
  updated_at: z.string(),
  expires_at: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
const storedShape = z.looseObject({ id: z.string(), updated_at: z.string() });

/** Remembers a value. */
export const setMemory = tool({
  name: "set_memory",
  title: "Set a memory",
  search: "remember a value under a key, agent memory of a session",
  description:
    "Remembers a JSON value under a key, for you alone. Keys, tokens and passwords in it are removed first, and scrubbed says how many. Returns key, session_scoped, expires_at, scope, stored_at.",
  input: {
    key: keyArgument,
    value: z.unknown().describe("Any JSON, or its text."),
    session_id: ofSession,
    expires_in: z.number().int().min(1).max(MAX_SECONDS).optional().describe("Seconds until it is forgotten."),
    metadata: metadataArgument.optional().describe("JSON object for programs, or its text."),
    overwrite: z.boolean().optional().describe("false: refuse where the key is there (default true)."),
  },
  example: { key: "theme", value: { dark: true } },
  samples: { session_id: SESSION_EXAMPLE, expires_in: 3600, metadata: { build: 7 }, overwrite: true },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  verb: "write",
  space: spaceOfCall,
  run: async ({ key, value, session_id: session, expires_in: seconds, metadata, overwrite }, steps) => {
    const stored = await steps.ask("memory_store", {
      ...{ key: keyIn(key), value, scope: "own" },
      ...(session === undefined ? {} : { session }),
      ...(seconds === undefined ? {} : { expires_in: seconds }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(overwrite === undefined ? {} : { overwrite }),
    });
    const { updated_at } = storedShape.parse(stored);
    const found = seconds === undefined ? undefined : await foundIn(steps, key, session);
    const isShort = seconds !== undefined && seconds < SHORT_SECONDS;
    return {
      ...{ key, session_scoped: session !== undefined, expires_at: found?.expires_at ?? null },
      ...{ scope: scopeOf(session), stored_at: updated_at },
      ...(stored["scrubbed"] === undefined ? {} : { scrubbed: stored["scrubbed"] }),
      ...(isShort ? { warning: `It is forgotten in ${seconds} s.` } : {}),
    };
  },
});

/** Reads a value. */
export const getMemory = tool({
  name: "get_memory",
  title: "Get a memory",
  search: "recall a value by its key, agent memory",
  description:
    "Returns a value of yours by its key. Returns key, value, metadata, created_at, updated_at, expires_at, scope.",
  input: { key: keyArgument, session_id: ofSession },
  example: { key: "theme" },
  samples: { session_id: SESSION_EXAMPLE },
  verb: "read",
  space: spaceOfCall,
  run: async ({ key, session_id: session }, steps) => {
    const { value, metadata, created_at, updated_at, expires_at } = await foundIn(steps, key, session);
    return {
      ...{ key, value, metadata: metadata ?? null, created_at, updated_at },
      ...{ expires_at: expires_at ?? null, scope: scopeOf(session) },
    };
  },
});

/** Lists keys. */
export const listMemory = tool({
  name: "list_memory",
  title: "List memories",
  search: "which keys are remembered, agent memory",
  description:
    "Lists your keys without values: those over all sessions, those about one session, or all. Returns entries (key, scope, session_id, created_at, updated_at, expires_at, value_size), count, agent_id.",
  input: {
    session_id: listedSession.optional().describe("About this session; all: whatever they are about."),
    prefix: z.string().max(MAX_KEY).optional().describe("Only keys that begin with this."),
    limit: z.number().int().min(1).max(MAX_LISTED).optional().describe("At most this many (default 50)."),
  },
  example: { limit: 50 },
  samples: { session_id: ALL, prefix: "th" },
  verb: "read",
  space: spaceOfCall,
  run: async ({ session_id: session, prefix = "", limit = 50 }, steps) => {
    const { ask } = steps;
    const asked = {
      ...{ scope: "own", limit: MAX_LISTED },
      ...(session === undefined || session === ALL ? {} : { session }),
      ...(prefix === "" || session === ALL ? {} : { prefix }),
    };
    const entries: ReturnType<typeof entryOf>[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = pageShape.parse(await ask("memory_list", { ...asked, ...(cursor === undefined ? {} : { cursor }) }));
      const found = page.memories.map(entryOf).filter((entry) => entry.key.startsWith(prefix));
      entries.push(...found.filter(({ session_id: of }) => session !== undefined || of === null));
      cursor = page.cursor;
      pages += 1;
    } while (cursor !== undefined && entries.length < limit && pages < MAX_PAGES);
    const listed = entries.slice(0, limit);
    const { agent, caller } = await identityOf(steps);
    return { entries: listed, count: listed.length, agent_id: agent?.name ?? caller };
  },
});

const pageShape = z.looseObject({ memories: z.array(memoryShape), cursor: z.string().optional() });

function entryOf({ key: placed, size, created_at, updated_at, expires_at }: z.output<typeof memoryShape>) {
  const [, session = null, key = placed] = OF_SESSION.exec(placed) ?? [];
  return {
    ...{ key, scope: session === null ? "global" : "session", session_id: session },
    ...{ created_at, updated_at, expires_at: expires_at ?? null, value_size: size },
  };
}

async function foundIn({ ask }: MacroSteps, key: string, session: string | undefined) {
  const about = session === undefined ? {} : { session };
  const found = await ask("memory_get", { key: keyIn(key), scope: "own", ...about });
  return { ...memoryShape.parse(found), value: found["value"] };
}

/** Returns a key that names a memory of the caller. Throws Fault `invalid_input`. */
function keyIn(key: string): string {
  const isOther = /\s/u.test(key) || OF_SESSION.test(key) || /^[^/]+\/memory\//u.test(key);
  if (!isOther && key.length <= MAX_KEY) return key;
  const what = isOther ? "has white space, or the form of an id" : `has ${key.length} characters`;
  throw new Fault("invalid_input", `The key ${JSON.stringify(key.slice(0, 80))} ${what}`, {
    hint: `Take a key of at most ${MAX_KEY} characters without white space, such as user_preferences.`,
    details: { field: "key" },
  });
}

function scopeOf(session: string | undefined): string {
  return session === undefined ? "global" : "session";
}

function spaceOfCall({ session_id: session }: { session_id?: string | undefined }): string {
  return session === undefined || session === ALL ? "default" : spaceOf(session);
}
