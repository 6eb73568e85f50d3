// Every road by which a caller can see messages, contexts and memories, each as the text that comes back: operations,
// REST, streams, MCP and pages. What may be seen by them is judged by the test.

import type { Mcp } from "../../src/mcp/index.ts";
import { callAndRead } from "./raw-mcp.ts";
import type { Searched } from "./search.ts";
import type { Someone } from "./sessions.ts";
import { webOver } from "./web.ts";

/** What a road shows of a row: all of it, nothing that must be there, or only rows of these kinds. */
export type Kind = "message" | "context" | "memory";

/** What roads need to know of the rows. */
export interface Places {
  sessions: readonly string[];
  spaces: readonly string[];
  messages: readonly { session: string; id: string }[];
  /** Contexts and memories. */
  ids: readonly string[];
  /** A position before all of them. */
  since: string;
  /** A word that all rows have. */
  word: string;
  /** What the last public message of each session, and the last context, have: a stream is read up to there. */
  last: string;
  senders: readonly string[];
}

export interface Roads {
  node: Searched;
  mcp: Mcp;
  places: Places;
}

/** A road: what it is called, of what it shows every row that may be read, and how it is gone. */
export interface Road {
  name: string;
  shows: readonly Kind[];
  /** The operations that it is about. */
  covers?: readonly string[];
  /** What it returns repeats the ids that were asked for. */
  byId?: true;
  /** For admins alone; others are refused. */
  ofAdmins?: true;
  /** It shows earlier versions too. */
  versions?: true;
  /** Without an agent: a browser has none. */
  withoutAgent?: true;
  go(roads: Roads, who: Someone): Promise<string>;
}

/** The answer to a call as text; a refusal with everything that it says. */
async function answered(who: Someone, operation: string, input: Record<string, unknown> = {}): Promise<string> {
  const refused = (fault: { code: string; message: string; hint?: string; details?: unknown }) => {
    // A road that nobody can go shows nothing.
    if (fault.code === "invalid_input") throw fault;
    return { code: fault.code, message: fault.message, hint: fault.hint, details: fault.details };
  };
  return JSON.stringify(await who.call(operation, input).catch(refused));
}

const each = async <T>(items: readonly T[], ask: (item: T) => Promise<string>): Promise<string> => {
  const texts: string[] = [];
  for (const item of items) texts.push(await ask(item));
  return texts.join("\n");
};

/** An operation, with inputs that follow from the places. */
const operation = (
  name: string,
  shows: readonly Kind[],
  inputs: (places: Places) => readonly Record<string, unknown>[],
  more: Partial<Road> = {},
): Road => ({
  name,
  shows,
  covers: [name],
  ...more,
  go: ({ places }, who) => each(inputs(places), (input) => answered(who, name, input)),
});

/** A wait from before all rows, page by page. */
const waiting = (name: string, shows: readonly Kind[], more: Record<string, unknown> = {}): Road => ({
  ...{ name, covers: [name], shows },
  go: async ({ places: { since } }, who) => {
    const texts: string[] = [];
    for (let position = since; ; ) {
      const text = await answered(who, name, { since: position, timeout_seconds: 0, ...more });
      texts.push(text);
      const page = JSON.parse(text) as { timed_out?: boolean; position?: string };
      if (page.timed_out !== false) return texts.join("\n");
      position = String(page.position);
    }
  },
});

const perSession =
  (more: Record<string, unknown> = {}, argument = "session") =>
  (places: Places) =>
    places.sessions.map((session) => ({ [argument]: session, ...more }));
const perSpace =
  (more: Record<string, unknown> = {}) =>
  (places: Places) =>
    places.spaces.map((space) => ({ space, ...more }));
const perId =
  (more: Record<string, unknown> = {}) =>
  (places: Places) =>
    places.ids.map((id) => ({ id, ...more }));
const once =
  (input: Record<string, unknown> = {}) =>
  () => [input];
const BY_ID = { byId: true } as const;
const RANGE = { start_time: "2020-01-01", end_time: "2100-01-01" };

const operations: readonly Road[] = [
  operation("message_list", ["message"], perSession({ limit: 500 })),
  operation("session_get", ["message"], perSession({ limit: 500 })),
  operation("session_export", ["message"], perSession(), { versions: true }),
  operation("session_participants", [], perSession()),
  operation("session_list", [], once({ limit: 200 })),
  operation("inbox", [], once({ limit: 200 })),
  operation("message_get", ["message"], ({ messages }) =>
    messages.map(({ session, id }) => ({ session, message: id })),
  ),
  {
    name: "message_list of threads",
    shows: ["message"],
    go: ({ places: { messages } }, who) =>
      each(messages, ({ session, id }) => answered(who, "message_list", { session, thread: id, limit: 500 })),
  },
  waiting("message_wait", ["message"], { own: true }),
  operation("context_list", ["context", "memory"], once({ limit: 500 })),
  operation("context_grep", ["context", "memory"], ({ word }) => [{ pattern: word, limit: 500 }]),
  waiting("context_wait", ["context", "memory"]),
  operation("context_export", ["context", "memory"], once(), { ofAdmins: true }),
  operation("audit_query", ["context", "memory"], ({ since }) => [{ since, limit: 500 }], { ofAdmins: true }),
  operation("prime", [], perSpace()),
  operation("context_get", ["context", "memory"], perId(), BY_ID),
  operation("context_metadata", ["context", "memory"], perId(), BY_ID),
  operation("context_history", [], perId(), BY_ID),
  operation("context_diff", [], perId({ from: 1, to: 1 }), BY_ID),
  operation("context_process", ["context", "memory"], perId({ task: "compact" }), BY_ID),
  operation("context_get_many", ["context", "memory"], ({ spaces }) =>
    spaces.map((space) => ({ prefix: `${space}/` })),
  ),
  operation(
    "message_diff",
    [],
    ({ messages }) => messages.map(({ session, id }) => ({ session, message: id, from: 1, to: 2 })),
    { versions: true },
  ),
  operation("read_graph", [], perSpace()),
  operation("search_nodes", [], ({ spaces, word }) => spaces.map((space) => ({ space, query: word }))),
  operation("open_nodes", [], ({ spaces, word }) => spaces.map((space) => ({ space, names: [word] }))),
  operation("openai_search", [], ({ word }) => [{ query: word }]),
  operation("openai_fetch", ["context", "memory"], perId(), BY_ID),
  {
    name: "openai_fetch of messages",
    shows: ["message"],
    go: ({ places: { messages } }, who) =>
      each(messages, ({ session, id }) => answered(who, "openai_fetch", { id: `message:///${session}/${id}` })),
  },
  operation("memory_list", ["memory"], perSpace({ limit: 200 })),
  operation("memory_search", [], ({ spaces, word }) => spaces.map((space) => ({ space, query: word, limit: 50 }))),
  operation("memory_timeline", ["memory"], perSpace({ limit: 200 })),
  operation("memory_profile", [], perSpace({ facts: 30 })),
  operation("memory_get", ["memory"], ({ ids }) => ids.map((key) => ({ key })), BY_ID),
  operation("get_session", ["message"], perSession({ limit: 500 }, "session_id")),
  operation("get_messages", ["message"], perSession({ limit: 500 }, "session_id")),
  operation("search_context", [], ({ sessions, word }) =>
    sessions.map((session_id) => ({ session_id, query: word, limit: 100, fuzzy_threshold: 0 })),
  ),
  operation("search_by_sender", ["message"], ({ sessions, senders }) =>
    sessions.flatMap((session_id) => senders.map((sender) => ({ session_id, sender, limit: 100 }))),
  ),
  operation("search_by_timerange", ["message"], perSession({ ...RANGE, limit: 200 }, "session_id")),
  operation("list_memory", [], once({ session_id: "all", limit: 200 })),
  operation("get_memory", [], ({ ids }) => ids.map((id) => ({ key: id.slice(id.lastIndexOf("/") + 1) })), BY_ID),
  operation("search", ["message", "context", "memory"], ({ spaces, word }) =>
    spaces.flatMap((space) => ["message", "context"].map((kind) => ({ space, kind, query: word, limit: 50 }))),
  ),
];

/** A GET over REST, with the handle in its header. */
const rest = (name: string, shows: readonly Kind[], paths: (places: Places) => string[], more: Partial<Road> = {}) => ({
  ...{ name: `GET ${name}`, shows, ...more },
  go: ({ node, places }: Roads, who: Someone) =>
    each(paths(places), async (path) => {
      const response = await node.core.http(path, { headers: headersOf(who) }, who.caller);
      const text = await response.text();
      // A road that nobody can go shows nothing.
      if (response.status === 400) throw new Error(text);
      return text;
    }),
});

const headersOf = ({ handle }: Someone): Record<string, string> =>
  handle === undefined ? {} : { "cairn-agent": handle };

/** A stream over REST, read until it has shown the last public row. */
const stream = (name: string, shows: readonly Kind[], paths: (places: Places) => string[]) => ({
  name: `GET ${name}`,
  shows,
  go: ({ node, places }: Roads, who: Someone) =>
    each(paths(places), async (path) => {
      const init = { headers: { ...headersOf(who), accept: "text/event-stream" } };
      const response = await node.core.http(path, init, who.caller);
      return response.status === 200 ? readUntil(response, places.last) : response.text();
    }),
});

async function readUntil(response: Response, last: string): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  const late = setTimeout(() => void reader.cancel().catch(() => {}), 5000);
  let text = "";
  while (!text.includes(last)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  clearTimeout(late);
  await reader.cancel().catch(() => {});
  return text;
}

const overRest: readonly Road[] = [
  rest("/sessions", [], () => ["/sessions?limit=200"]),
  rest("/sessions/{id}", ["message"], ({ sessions }) => sessions.map((id) => `/sessions/${id}?limit=500`)),
  rest("/sessions/{id}/messages", ["message"], ({ sessions }) =>
    sessions.map((id) => `/sessions/${id}/messages?limit=500`),
  ),
  rest("/conversations/{id}", ["message"], ({ sessions }) => sessions.map((id) => `/conversations/${id}?limit=500`)),
  rest("/sessions/{id}/messages/{id}", ["message"], ({ messages }) =>
    messages.map(({ session, id }) => `/sessions/${session}/messages/${id}`),
  ),
  rest("/messages", ["message"], ({ since }) => [`/messages?since=${since}&feed=longpoll&timeout=0`]),
  rest("/contexts", ["context", "memory"], () => ["/contexts?limit=500"]),
  rest("/contexts/{id}", ["context", "memory"], ({ ids }) => ids.map((id) => `/contexts/${id}`), BY_ID),
  rest("/contexts/{id}/versions", [], ({ ids }) => ids.map((id) => `/contexts/${id}/versions`), BY_ID),
  rest("/changes", ["context", "memory"], ({ since }) => [`/changes?since=${since}&feed=longpoll&timeout=0`]),
  rest("/search", ["message", "context", "memory"], ({ spaces, word }) =>
    spaces.flatMap((space) =>
      ["message", "context"].map((kind) => `/search?q=${word}&space=${space}&kind=${kind}&limit=50`),
    ),
  ),
  stream("/sessions/{id}/stream", ["message"], ({ sessions, since }) =>
    sessions.map((id) => `/sessions/${id}/stream?since=${since}`),
  ),
  stream("/messages as a stream", ["message"], ({ since }) => [`/messages?since=${since}&feed=sse`]),
  stream("/changes as a stream", ["context", "memory"], ({ since }) => [`/changes?since=${since}&feed=sse`]),
];

/** A method of MCP, in the newest revision. */
const mcp = (
  name: string,
  shows: readonly Kind[],
  asks: (places: Places) => readonly [method: string, params: Record<string, unknown>][],
  { path = "/mcp", ...more }: Partial<Road> & { path?: string } = {},
): Road => ({
  ...{ name: `MCP ${name}`, shows, ...more },
  go: ({ mcp: server, places }, who) =>
    each(asks(places), ([method, params]) => callAndRead(server, who, method, params, path)),
});

const resource = (uris: (places: Places) => readonly string[]) => (places: Places) =>
  uris(places).map((uri): [string, Record<string, unknown>] => ["resources/read", { uri }]);
const completion = (uri: string, name: string, value: string): [string, Record<string, unknown>] => [
  "completion/complete",
  { ref: { type: "ref/resource", uri }, argument: { name, value } },
];

const COLLABORATION = { path: "/mcp/collaboration" };

const overMcp: readonly Road[] = [
  mcp(
    "session:///{id}",
    ["message"],
    resource(({ sessions }) => sessions.map(uriOf("session:///"))),
  ),
  mcp(
    "session://{id}/messages/{n}",
    ["message"],
    resource(({ sessions }) => sessions.map((id) => `session://${id}/messages/500`)),
    COLLABORATION,
  ),
  mcp(
    "session://{id}",
    [],
    resource(({ sessions }) => sessions.map((id) => `session://${id}`)),
    COLLABORATION,
  ),
  mcp(
    "prompts/get debug-session",
    [],
    ({ sessions }) =>
      sessions.map((session_id) => ["prompts/get", { name: "debug-session", arguments: { session_id } }]),
    COLLABORATION,
  ),
  mcp(
    "tools/call search_context",
    [],
    ({ sessions, word }) =>
      sessions.map((session_id) => [
        "tools/call",
        { name: "search_context", arguments: { session_id, query: word, limit: 100 } },
      ]),
    COLLABORATION,
  ),
  mcp(
    "cairn:///{id}",
    ["context", "memory"],
    resource(({ ids }) => ids.map(uriOf("cairn:///"))),
    BY_ID,
  ),
  mcp("resources/list", [], () => [["resources/list", {}]]),
  mcp("completion/complete", [], ({ spaces }) =>
    spaces.flatMap((space) => [
      completion("cairn:///{id}", "id", `${space}/`),
      completion("session:///{id}", "id", space),
    ]),
  ),
  mcp("prompts/get prime", [], ({ spaces }) =>
    spaces.map((space) => ["prompts/get", { name: "prime", arguments: { space } }]),
  ),
  mcp(
    "prompts/get handoff",
    [],
    ({ ids }) => ids.map((id) => ["prompts/get", { name: "handoff", arguments: { topic: id } }]),
    BY_ID,
  ),
];

function uriOf(scheme: string): (id: string) => string {
  return (id) => `${scheme}${encodeURIComponent(id)}`;
}

/** A page in a browser. */
const page = (name: string, shows: readonly Kind[], paths: (places: Places) => string[], more: Partial<Road> = {}) => ({
  ...{ name: `page ${name}`, shows, withoutAgent: true as const, ...more },
  go: async ({ node, places }: Roads, who: Someone) => {
    const web = webOver(node.core, {
      onUnexpected: (error) => {
        throw error;
      },
    });
    const accepted = ["text/html", "application/json"];
    return each(
      paths(places).flatMap((path) => accepted.map((accept) => ({ path, accept }))),
      async ({ path, accept }) => {
        const request = new Request(`http://cairn${path}`, { headers: { accept } });
        return String(await (await web.fetch(request, who.caller, "http"))?.text());
      },
    );
  },
});

const pages: readonly Road[] = [
  page("/", [], () => ["/"]),
  page("/ui/sessions", [], () => ["/ui/sessions"]),
  page("/ui/sessions/{id}", ["message"], ({ sessions }) => sessions.map((id) => `/ui/sessions/${id}`)),
  page(
    "/ui/messages/{id}",
    ["message"],
    ({ messages }) => messages.map(({ session, id }) => `/ui/messages/${session}/${id}`),
    { versions: true },
  ),
  page("/ui/contexts", [], ({ spaces }) => spaces.map((space) => `/ui/contexts?prefix=${space}/`)),
  page("/ui/memory", [], ({ spaces }) => spaces.map((space) => `/ui/memory?space=${space}`)),
  page("/ui/store", [], () => ["/ui/store"]),
  page("/ui/fleet", [], () => ["/ui/fleet"]),
  page("/ui/audit", [], () => ["/ui/audit"]),
  page("/ui/agents", [], () => ["/ui/agents"]),
  page("/ui/leases", [], () => ["/ui/leases"]),
  page("/ui/events", [], () => ["/ui/events"]),
  page("/ui/incidents", [], ({ spaces }) => [
    "/ui/incidents",
    ...spaces.map((space) => `/ui/incidents?thing=${space}/services/web&at=2026-01-01`),
  ]),
  page("/ui/services", [], () => ["/ui/services"]),
  page("/ui/services/{id}", [], ({ spaces }) => spaces.map((space) => `/ui/services/${space}/web`)),
  page("/ui/jobs", [], () => ["/ui/jobs"]),
  page("/ui/jobs/{id}", [], ({ spaces }) => spaces.map((space) => `/ui/jobs/${space}/1-1`)),
  page("/ui/rules", [], ({ spaces }) => ["/ui/rules", ...spaces.map((space) => `/ui/rules?space=${space}`)]),
  page("/ui/rules/{name}", [], () => ["/ui/rules/more-workers"]),
  page("/ui/probes", [], () => ["/ui/probes"]),
  page("/ui/probes/{name}", [], ({ spaces }) => spaces.map((space) => `/ui/probes/${space}/web`)),
  page("/ui/inbox", [], () => ["/ui/inbox"]),
  page("/ui/contexts/{id}", ["context", "memory"], ({ ids }) => ids.map((id) => `/ui/contexts/${id}`), BY_ID),
  page("/ui/search", [], ({ word, spaces }) => spaces.map((space) => `/ui/search?q=${word}&space=${space}`)),
];

/** All of them. */
export const ROADS: readonly Road[] = [...operations, ...overRest, ...overMcp, ...pages];
