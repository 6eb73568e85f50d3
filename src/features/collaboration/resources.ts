// The resources session://, server:// and docs://, each read by an operation as the caller.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import type { FeatureResources, ResourceContent } from "../../operation/mcp-parts.ts";
import { listMemory } from "./memory.ts";
import { getSession } from "./sessions.ts";

const JSON_TYPE = "application/json";
const page = z.object({
  sessions: z.array(z.looseObject({ session: z.string(), created_at: z.string(), last_at: z.string().optional() })),
  cursor: z.string().optional(),
});

/** Sessions, and the last messages of one: `session://{session_id}/messages/{limit}`. */
export const sessionResources: FeatureResources = {
  uriTemplate: "session:///{session_id}",
  name: "session",
  title: "Session",
  description:
    "A session with the last messages that you may read, newest first, as JSON. Subscribers are notified of changes that they may read.",
  otherTemplates: [
    {
      ...{ uriTemplate: "session://{session_id}", name: "session_by_id", title: "Session" },
      description: "A session with the last messages that you may read, as JSON.",
    },
    {
      ...{ uriTemplate: "session://{session_id}/messages/{limit}", name: "session_messages", title: "Messages" },
      description: "The last messages of a session that you may read, newest first, as JSON.",
    },
  ],
  changesOf: "session",
  split: (named) => {
    const [, target, messages] = /^(.+)\/messages\/(\d{1,4})$/.exec(named) ?? [];
    return target === undefined || messages === undefined
      ? { target: named, query: {} }
      : { target, query: { messages } };
  },
  list: {
    operation: "session_list",
    input: ({ cursor, limit }) => ({ limit: Math.min(limit, 200), ...(cursor === undefined ? {} : { cursor }) }),
    result: (output) => {
      const { sessions, cursor } = page.parse(output);
      const resources = sessions.map(({ session, last_at, ...about }) => ({
        ...{ target: session, mimeType: JSON_TYPE, updatedAt: last_at ?? about.created_at, about },
      }));
      return { resources, cursor };
    },
  },
  read: {
    operation: getSession.name,
    input: ({ target, query: { messages } }) => ({
      session_id: target,
      ...(messages === undefined ? {} : { limit: Number(messages) }),
    }),
    result: (output, { target, query }) => {
      const { session, messages, message_count } = output;
      const whole = { session, messages, message_count };
      return jsonOf(query["messages"] === undefined ? whole : { session_id: target, messages, message_count });
    },
  },
  complete: {
    operation: "session_list",
    input: () => ({ limit: 200 }),
    result: (output, { value, limit }) => {
      const found = page.parse(output).sessions.map(({ session }) => session);
      const matching = found.filter((session) => session.startsWith(value));
      return { values: matching.slice(0, limit), hasMore: matching.length > limit };
    },
  },
};

const acting = z.looseObject({ agent: z.object({ name: z.string() }).optional() });

/** The keys that an agent remembers, for that agent alone: `agent://{agent_id}/memory`. */
export const memoryResources: FeatureResources = {
  uriTemplate: "agent:///{agent_id}",
  name: "agent_memory",
  title: "Memory of an agent",
  description: "The keys that you, the agent of this call, remember, as JSON without their values.",
  otherTemplates: [
    {
      ...{ uriTemplate: "agent://{agent_id}/memory", name: "agent_memory_by_id", title: "Memory of an agent" },
      description: "The keys that you, the agent of this call, remember, as JSON without their values.",
    },
  ],
  split: (named) => ({ target: named.replace(/\/memory$/, ""), query: {} }),
  list: { operation: "whoami", input: () => ({}), result: () => ({ resources: [], cursor: undefined }) },
  read: {
    operation: listMemory.name,
    input: () => ({ session_id: "all", limit: 200 }),
    result: ({ agent_id, entries, count }, { target }) => {
      // Names of agents differ by more than case.
      if (String(agent_id).toLowerCase() === target.toLowerCase()) return jsonOf({ agent_id, entries, count });
      throw new Fault("not_found", `There is no memory of ${JSON.stringify(target.slice(0, 80))} that you may read`, {
        hint: "Read that of the agent as which you act: authenticate_agent says its name.",
      });
    },
  },
  complete: {
    operation: "whoami",
    input: () => ({}),
    result: (output, { value }) => {
      const { agent } = acting.parse(output);
      const values = agent?.name.startsWith(value) === true ? [agent.name] : [];
      return { values, hasMore: false };
    },
  },
};

/** Returns the one resource of a scheme, `scheme://target`, made by `text` of what `whoami` says of the caller. */
export function fixedResource(
  scheme: string,
  target: string,
  { title, description, text }: { title: string; description: string; text: (identity: unknown) => unknown },
): FeatureResources {
  const entry = { target, mimeType: JSON_TYPE, updatedAt: "2026-01-01T00:00:00.000Z", about: {} };
  return {
    ...{ uriTemplate: `${scheme}:///{name}`, name: `${scheme}_${target}`, title, description },
    otherTemplates: [{ uriTemplate: `${scheme}://${target}/{_}`, name: `${scheme}_${target}_any`, title, description }],
    // Clients of shared-context-server may add a segment that means nothing.
    split: (named) => ({ target: named.split("/")[0] ?? "", query: {} }),
    list: { operation: "whoami", input: () => ({}), result: () => ({ resources: [entry], cursor: undefined }) },
    read: {
      operation: "whoami",
      input: () => ({}),
      result: (output, { target: named }) => {
        if (named === target) return jsonOf(text(output));
        throw new Fault("not_found", `There is no ${scheme}://${named.slice(0, 80)}`, {
          hint: `Read ${scheme}://${target}.`,
        });
      },
    },
    complete: {
      operation: "whoami",
      input: () => ({}),
      result: (_output, { value }) => ({ values: target.startsWith(value) ? [target] : [], hasMore: false }),
    },
  };
}

function jsonOf(value: unknown): ResourceContent {
  return { mimeType: JSON_TYPE, text: JSON.stringify(value), about: {} };
}
