// The manifest of the memory tool: one tool, at an address of its own.

import type { Feature } from "../../../operation/feature.ts";
import { memoryParts } from "../parts.ts";
import { memoryTool } from "./tool.ts";

/** The manifest. */
export const memoryToolFeature: Feature = {
  name: "memory_tool",
  apart: true,
  operations: (node) => [memoryTool(memoryParts(node))],
  preset: {
    name: "memory-tool",
    summary: "the memory tool of Anthropic, over files that are contexts",
    tools: ["memory_tool"],
    urlArguments: ["space", "scope"],
    instructions: {
      about: "Here is a directory of files, /memories, that lasts between conversations.",
      readers: ["- View /memories before anything else: it says how far earlier work came."],
      writers: {
        operation: "memory_tool",
        lines: ["- Write down progress as you make it: your conversation may end at any moment."],
        otherwise: "- You may not write here, so the tool does not work for you.",
      },
    },
  },
};
