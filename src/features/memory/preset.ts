// The preset `memory`: an address of MCP with the tools of memories, and what these need.

import type { FeaturePreset } from "../../operation/mcp-parts.ts";
import { memoryDelete, memoryGet } from "./get.ts";
import { memoryList, memoryTimeline } from "./list.ts";
import { memoryPlaces } from "./places.ts";
import { memoryProfile } from "./profile.ts";
import { memorySearch } from "./search.ts";

/**
 * The preset. A memory of an agent's own needs its name (`agent_register`); what was deleted or compacted comes back by
 * `context_restore`.
 */
export const memoryPreset: FeaturePreset = {
  name: "memory",
  summary: "the tools of memories, and what they need",
  tools: [
    ...[memoryGet, memoryDelete, memoryList, memoryTimeline, memorySearch, memoryProfile].map(({ name }) => name),
    ...[memoryPlaces.name, "memory_store", "memory_compact", "agent_register", "context_restore"],
  ],
  instructions: {
    about: "Here you remember facts, events and notes beyond this conversation: for yourself, in a session, or shared.",
    readers: [
      "- When you begin, call memory_profile, with about for one subject. memory_search finds by words, memory_list and " +
        "memory_timeline by kind, tag and time; memory_get returns a whole value.",
    ],
    writers: {
      operation: "memory_store",
      lines: [
        "- Store with memory_store what should outlast this conversation: one thing each, with kind (fact, event, note) " +
          "and about. To correct it store the same key again, or name in supersedes what it replaces.",
        "- What is yours belongs to your agent: call agent_register first. To share it give scope shared and a space.",
        "- Leave keys and passwords out.",
      ],
      otherwise: "- You may read here, not write.",
    },
  },
};
