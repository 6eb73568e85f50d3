// The parts of /openapi.json that many routes share: problems, headers, parameters, and the schemas of the node's own
// routes. Statuses and codes come from the table of Faults.

import { FAULTS } from "../lib/fault.ts";
import { isKeyed, type Operation } from "../operation/define.ts";

/** A piece of the document. */
export type Json = Record<string, unknown>;

/** Returns a reference to a schema of the document. */
export function ref(schema: string): Json {
  return { $ref: `#/components/schemas/${schema}` };
}

/** Returns `content` in JSON. */
export function jsonOf(schema: Json): Json {
  return { "application/json": { schema } };
}

/** RFC 9457 with our members; details of a fault are further members. */
export const PROBLEM: Json = {
  type: "object",
  required: ["type", "title", "status", "code", "detail", "retryable"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string", enum: Object.keys(FAULTS), description: "Part of the API, never renamed." },
    detail: { type: "string" },
    hint: { type: "string", description: "What to do next." },
    retryable: { type: "boolean", description: "The same request may succeed later unchanged." },
    etag: { type: "string", description: "Of 412: what the context is at now." },
  },
};

const retryAfter: Json = { "Retry-After": { description: "Seconds", schema: { type: "integer" } } };
const HEADERS: Readonly<Record<number, Json>> = {
  405: { Allow: { schema: { type: "string" } } },
  412: { ETag: { description: "The current one, where there is a context", schema: { type: "string" } } },
  415: { "Accept-Patch": { description: "Where the request was a PATCH", schema: { type: "string" } } },
  429: retryAfter,
  503: retryAfter,
};

/** One response for each status that faults have, by its name in `components.responses`. */
export const ERRORS: Json = Object.fromEntries(
  [...new Set(Object.values(FAULTS).map(({ status }) => status))].sort().map((status) => [
    nameOf(status),
    {
      description: codesOf(status),
      ...(HEADERS[status] === undefined ? {} : { headers: HEADERS[status] }),
      content: { "application/problem+json": { schema: ref("Problem") } },
    },
  ]),
);

/** Returns the error responses of a route. */
export function problems(statuses: readonly number[]): Json {
  return Object.fromEntries(
    statuses.map((status) => [String(status), { $ref: `#/components/responses/${nameOf(status)}` }]),
  );
}

/** Statuses of problems of `POST /operations/{name}`. */
const READ_ERRORS = [400, 403, 404, 410, 413, 415, 429, 500, 503];
const WRITE_ERRORS = [400, 403, 404, 409, 410, 412, 413, 415, 422, 429, 500, 503, 507];

/**
 * Returns the statuses of problems that a call of an operation of this kind may give. `mayConflict`: it changes
 * something although it is no write.
 */
export function operationErrors(kind: Operation["kind"], mayConflict = false): readonly number[] {
  if (isKeyed({ kind })) return WRITE_ERRORS;
  return mayConflict ? READ_ERRORS.concat(409, 507) : READ_ERRORS;
}

function nameOf(status: number): string {
  return `Problem${status}`;
}

function codesOf(status: number): string {
  const codes = Object.entries(FAULTS).filter(([, fault]) => fault.status === status);
  return codes.map(([code, { title }]) => `${code}: ${title}`).join("; ");
}

/** Returns a query parameter. */
export function query(name: string, schema: Json, description: string, required = false): Json {
  return { name, in: "query", required, schema, description };
}

/** Returns a request header. */
export function header(name: string, description: string, schema: Json = { type: "string" }): Json {
  return { name, in: "header", required: false, schema, description };
}

/** Parameters of every operation, as headers (architecture.md 5). */
export const COMMON_HEADERS: readonly Json[] = [
  header("Cairn-Consistency", "What a read must have seen", { type: "string", enum: ["any", "session", "leader"] }),
  header("Cairn-Min-Position", "A position an earlier answer named; the read is at least that new"),
  header("Cairn-Client", "Name and version of the agent, kept beside the verified caller as a claim", {
    type: "string",
    minLength: 1,
  }),
  header("Cairn-Agent", "Acts as an agent: the handle that agent_register returned", {
    type: "string",
    pattern: "^agent-[0-9a-f]{32}$",
  }),
];

/** The response header with the position of an answer. */
export const POSITION_HEADER: Json = { "Cairn-Position": { schema: { type: "string" } } };

/** Response headers with the position and the age of an answer. */
export const POSITION_HEADERS: Json = {
  ...POSITION_HEADER,
  "Cairn-Cache": {
    description: "Of an edge: how its cache answered",
    schema: { type: "string", enum: ["hit", "miss", "stale", "revalidated"] },
  },
  Age: {
    description: "Seconds that the state behind the answer may be old; absent while no age is proved",
    schema: { type: "integer", minimum: 0 },
  },
};

/** The idempotency key of writes. */
export const IDEMPOTENCY: Json = header("Idempotency-Key", "Done once, answered as often as it is asked", {
  type: "string",
  minLength: 1,
  maxLength: 256,
});
export const IF_MATCH: Json = header("If-Match", "Only if the context is at one of these ETags; *: if it exists");
export const IF_NONE_MATCH: Json = header(
  "If-None-Match",
  "Not if the context is at one of these ETags; *: only if it is not there",
);

/** The body of /health and /ready. */
export const HEALTH: Json = {
  type: "object",
  required: ["status", "ready", "timestamp", "version"],
  properties: {
    status: { type: "string", enum: ["ok", "warning", "failing"] },
    ready: { type: "boolean" },
    timestamp: { type: "string" },
    version: { type: "string" },
    conditions: { type: "array", items: { type: "object" }, description: "For callers with a role" },
  },
  additionalProperties: false,
};

/** The body of /.well-known/cairn. */
export const SELF: Json = {
  type: "object",
  required: ["version", "fleet", "fleet_id", "leader", "epoch", "position", "role", "surfaces"],
  properties: {
    version: { type: "string" },
    fleet: { type: "string", description: "Name of the fleet" },
    fleet_id: { type: "string" },
    leader: { type: "string", description: "StableNodeID of the member that orders writes; empty: none is known" },
    epoch: { type: "string" },
    position: { type: "string" },
    role: { type: "string", enum: ["central", "regional", "edge"] },
    surfaces: { type: "object", additionalProperties: { type: "string" } },
  },
  additionalProperties: false,
};
