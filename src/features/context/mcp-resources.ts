// Contexts as MCP resources `cairn:///{id}`: the operations that list, read and complete them.

import { z } from "zod";
import type { Completion, FeatureResources } from "../../operation/mcp-parts.ts";
import { contextGet } from "./get.ts";
import { contextList } from "./list-contexts.ts";

const page = z.object({
  contexts: z.array(
    z.looseObject({ id: z.string(), content_type: z.string(), size: z.number(), updated_at: z.string() }),
  ),
  cursor: z.string().optional(),
});
const document = z.looseObject({ id: z.string(), content_type: z.string(), content: z.string() });

/** Completes ids. While nothing is typed, offers those of the space that another argument names. */
export const completeIds: Completion = {
  operation: contextList.name,
  input: ({ value, others, limit }) => {
    const prefix = value === "" && others["space"] !== undefined ? `${others["space"]}/` : value;
    return { limit, ...(prefix === "" ? {} : { prefix }) };
  },
  result: (output) => {
    const { contexts, cursor } = page.parse(output);
    return { values: contexts.map(({ id }) => id), hasMore: cursor !== undefined };
  },
};

/** The resources of contexts. */
export const contextResources: FeatureResources = {
  // Simple expansion escapes every id reversibly, `/` too; `{+id}` would leave `?`, `#` and `%41` as they are.
  uriTemplate: "cairn:///{id}",
  name: "context",
  title: "Context",
  description:
    "One shared context by its id, such as cairn:///team-a/plan: the newest version of the document. Of a long one the first part, with part in _meta; ?lines=1-200 or ?chars=1-9000 after the URI reads another part.",
  queryNames: ["lines", "chars"],
  list: {
    operation: contextList.name,
    input: ({ cursor, limit }) => ({ limit, ...(cursor === undefined ? {} : { cursor }) }),
    result: (output) => {
      const { contexts, cursor } = page.parse(output);
      const resources = contexts.map(({ id, content_type, size, ...about }) => ({
        target: id,
        mimeType: content_type,
        size,
        updatedAt: about.updated_at,
        about,
      }));
      return { resources, cursor };
    },
  },
  read: {
    operation: contextGet.name,
    input: ({ target, query }) => ({ ...query, id: target, format: "text" }),
    result: (output) => {
      const { content, content_type, id: _, ...about } = document.parse(output);
      // A part of a JSON document is no JSON.
      return { mimeType: about["part"] === undefined ? content_type : "text/plain", text: content, about };
    },
  },
  complete: completeIds,
};
