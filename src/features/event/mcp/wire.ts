// The manifest's part for MCP Events: which operation meets which request, and what becomes of its output.

import { z } from "zod";
import type { CallbackGrant, EventType, FeatureMcpEvents } from "../../../operation/mcp-parts.ts";
import { shownEvent } from "../shown.ts";
import { ANY_EVENT, eventArguments } from "./event-type.ts";

const NO_TYPES = eventArguments.omit({ types: true });
const schemaOf = (schema: z.ZodType, io: "input" | "output") => {
  const { $schema: _, ...shown } = z.toJSONSchema(schema, { io });
  return shown as Record<string, unknown>;
};
const ANY_INPUT = schemaOf(eventArguments, "input");
const INPUT = schemaOf(NO_TYPES, "input");
const PAYLOAD = schemaOf(shownEvent, "output");

interface TypesOutput {
  types: readonly { name: string; description: string; callbacks?: boolean }[];
  more: boolean;
}

interface PollOutput {
  events: readonly Readonly<Record<string, unknown>>[];
  cursor: string;
  truncated: boolean;
  more: boolean;
}

interface SubscribeOutput extends Omit<CallbackGrant, "refreshBefore"> {
  refresh_before: string;
}

/** MCP Events over the log of events. */
export const mcpEvents: FeatureMcpEvents = {
  list: {
    operation: "event_types",
    input: ({ cursor, limit }) => ({ limit, ...(cursor === undefined ? {} : { after: cursor }) }),
    result: (output) => {
      const { types, more } = output as unknown as TypesOutput;
      return { types: types.map(typeOf), cursor: more ? types.at(-1)?.name : undefined };
    },
  },
  poll: {
    operation: "event_poll",
    input: ({ name, arguments: given, cursor, maxAgeMs, limit }) => ({
      ...{ name, arguments: given },
      ...(cursor === undefined ? {} : { since: cursor }),
      ...(maxAgeMs === undefined ? {} : { max_age_ms: maxAgeMs }),
      ...(limit === undefined ? {} : { limit }),
    }),
    result: (output) => output as unknown as PollOutput,
  },
  subscribe: {
    operation: "callback_subscribe",
    input: ({ name, arguments: given, url, secret, cursor, maxAgeMs, ttlMs }) => ({
      ...{ name, arguments: given, url, secret },
      ...(cursor === undefined ? {} : { cursor }),
      ...(maxAgeMs === undefined ? {} : { max_age_ms: maxAgeMs }),
      ...(typeof ttlMs === "number" ? { ttl_ms: ttlMs } : {}),
    }),
    result: (output) => {
      const { refresh_before: refreshBefore, ...grant } = output as unknown as SubscribeOutput;
      return { ...grant, refreshBefore };
    },
  },
  unsubscribe: {
    operation: "callback_end",
    input: ({ name, arguments: given, url }) => ({ name, arguments: given, url }),
    result: ({ ended }) => ended === true,
  },
};

function typeOf({ name, description, callbacks = false }: TypesOutput["types"][number]): EventType {
  const inputSchema = name === ANY_EVENT ? ANY_INPUT : INPUT;
  return { name, description, hasCallbacks: callbacks, inputSchema, payloadSchema: PAYLOAD };
}
