// The instructions about contexts for models that connect by MCP.

import type { FeatureInstructions } from "../../operation/mcp-parts.ts";
import { contextPut } from "./put.ts";

/** The instructions. Keep them short: src/mcp/instructions.ts limits the length of those of all features together. */
export const contextInstructions: FeatureInstructions = {
  about:
    "A context is a document with an id such as team-a/plan; " +
    "the part before the first slash is its space, where rights apply.",
  readers: [
    "- When you begin, call prime (or context_list with a prefix) and read what concerns your task. " +
      "To follow changes use context_wait, not repeated reads.",
  ],
  writers: {
    operation: contextPut.name,
    lines: [
      "- While you work and when you stop, store what others need with context_put: " +
        "decisions, plans, findings, your status. One topic per id; small changes with context_patch.",
      "- Do not overwrite blindly: pass if_match with the etag you read, " +
        'or if_none_match "*" for a new id. On version_mismatch read again, merge, write again.',
    ],
    otherwise: "- You may read here, not write.",
  },
};
