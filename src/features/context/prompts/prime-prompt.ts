// The prompt `prime`: the text that the operation `prime` returns.

import type { FeaturePrompt } from "../../../operation/mcp-parts.ts";
import { prime } from "../prime.ts";
import { askPrime, spaceArgument } from "./ask-prime.ts";

/** Gives an agent an overview of what is stored for it. */
export const primePrompt: FeaturePrompt = {
  name: "prime",
  title: "What is stored for you",
  description: "Gives the agent an overview of what is stored for it, and advice on how to use the store.",
  arguments: [spaceArgument("Only this space (default: all that you may read).", "read")],
  needs: [prime.name],
  text: async ({ space }, context) => {
    const only = space === undefined || space === "" ? {} : { space };
    const { text } = await askPrime(context, { ...only, format: "text" });
    if (text === undefined) throw new Error("prime returned no text");
    return text;
  },
};
