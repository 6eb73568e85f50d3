// The tool `search` of OpenAI's contract, by the operation of that name.

import { z } from "zod";
import { macro } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { idOf, urlOf } from "./ids.ts";

const MAX_QUERY = 1000;

/** What it reads of a hit. */
const found = z.object({
  hits: z.array(
    z.object({
      id: z.string().optional(),
      session: z.string().optional(),
      message: z.string().optional(),
      title: z.string().optional(),
      author: z.string(),
      agent: z.string().optional(),
    }),
  ),
});

/** Makes the operation. */
export function openaiSearch(node: Services) {
  return macro({
    name: "openai_search",
    toolName: "search",
    alike: {},
    title: "Search for contexts and messages",
    search: "search documents, knowledge, company knowledge, deep research, citations",
    description:
      "Searches the contexts and messages that you may read, by words in any order, and returns the best matches with an id for fetch. Name few and telling words.",
    input: z.object({ query: z.string().min(1).max(MAX_QUERY).describe("The words to search for.") }),
    example: { query: "release plan" },
    output: z.object({
      results: z.array(
        z.object({
          id: z.string().describe("Give it to fetch."),
          title: z.string(),
          url: z.string().describe("The page of it, for citations."),
        }),
      ),
    }),
    access: { verb: "read", spaces: "visible" },
    run: async ({ query }, { ask }) => {
      const { hits } = found.parse(await ask("search", { query }));
      const results = hits.map((hit) => {
        const by = hit.agent ?? hit.author;
        const title = hit.title ?? hit.id ?? `Message of ${by} in ${hit.session ?? ""}`;
        return { id: idOf(hit), title, url: urlOf(node, hit) };
      });
      return { results };
    },
  });
}
