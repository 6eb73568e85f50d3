// The HTTP route of searches, as a row for the router of api/.

import type { RestRoute } from "../../operation/rest-route.ts";

/** The route. */
export const searchRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/search",
    operationId: "searchByWords",
    summary: "Find contexts and messages by words and meaning",
    tag: "search",
    operation: "search",
    query: {
      q: { kind: "text", argument: "query", required: true, description: "The words" },
      space: { kind: "text", description: "Only in this space" },
      kind: { kind: "text", choices: ["context", "message"], description: "Only rows of this kind" },
      session: { kind: "text", description: "Only messages of this session" },
      from: { kind: "text", description: "Only what this agent or caller wrote" },
      tag: { kind: "text", description: "Only contexts with this tag" },
      since: { kind: "text", description: "Only what was written at or after this time" },
      until: { kind: "text", description: "Only what was written at or before this time" },
      limit: { kind: "count", maximum: 50, description: "At most this many (default 20)" },
      by: {
        kind: "text",
        choices: ["words", "meaning", "both"],
        description: "Default: both, where there are vectors",
      },
      cursor: { kind: "text", description: "The cursor of the previous page" },
    },
    response: { kind: "json" },
  },
];
