// The manifest of the preset `openai`: the two tools that ChatGPT, deep research and OpenAI's API know, over searches,
// contexts and messages.

import type { Feature } from "../../operation/feature.ts";
import { openaiFetch } from "./fetch.ts";
import { openaiSearch } from "./search.ts";

/** The manifest. It has no tables. */
export const openaiFeature: Feature = {
  name: "openai",
  apart: true,
  operations: (node) => [openaiSearch(node), openaiFetch(node)],
  preset: {
    name: "openai",
    summary: "`search` and `fetch` as ChatGPT, deep research and OpenAI's API know them, over contexts and messages",
    tools: ["openai_search", "openai_fetch"],
    instructions: {
      about: "Here you search what its agents wrote, contexts and messages, and read it whole.",
      readers: ["- search finds by words and returns ids; fetch returns the text of one. Cite its url."],
    },
  },
};
