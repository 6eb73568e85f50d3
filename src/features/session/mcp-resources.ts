// Sessions as MCP resources `session:///{id}`: the operations that list, read and complete them.

import { z } from "zod";
import type { FeatureResources } from "../../operation/mcp-parts.ts";
import { sessionGet } from "./get.ts";
import { sessionList } from "./list.ts";

const page = z.object({
  sessions: z.array(z.looseObject({ session: z.string(), created_at: z.string(), last_at: z.string().optional() })),
  cursor: z.string().optional(),
});

/** The resources of sessions. */
export const sessionResources: FeatureResources = {
  uriTemplate: "session:///{id}",
  name: "session",
  title: "Session",
  description:
    "One session by its id, such as session:///team-a/session_0123456789abcdef: what it is for, who takes part, and the last messages that you may read, as JSON. Subscribers are notified of changes that they may read.",
  list: {
    operation: sessionList.name,
    input: ({ cursor, limit }) => ({ limit: Math.min(limit, 200), ...(cursor === undefined ? {} : { cursor }) }),
    result: (output) => {
      const { sessions, cursor } = page.parse(output);
      const resources = sessions.map(({ session, last_at, ...about }) => ({
        ...{ target: session, mimeType: "application/json", updatedAt: last_at ?? about.created_at, about },
      }));
      return { resources, cursor };
    },
  },
  read: {
    operation: sessionGet.name,
    input: ({ target }) => ({ session: target }),
    result: (output) => {
      const { messages, participants, ...about } = sessionGet.output.parse(output);
      return {
        mimeType: "application/json",
        text: JSON.stringify({ ...about, participants, messages }),
        about: { session: about.session, state: about.state, position: about.position },
      };
    },
  },
  complete: {
    operation: sessionList.name,
    input: () => ({ limit: 200 }),
    result: (output, { value, limit }) => {
      const found = page.parse(output).sessions.map(({ session }) => session);
      const matching = found.filter((session) => session.startsWith(value) || session.includes(`/${value}`));
      return { values: matching.slice(0, limit), hasMore: matching.length > limit };
    },
  },
};
