// The manifest of memories: what agents remember, as contexts. It has no table: each operation is made of operations on
// contexts.

import type { Feature } from "../../operation/feature.ts";
import { memoryCommands } from "./commands.ts";
import { memoryCompact } from "./compact.ts";
import { memoryDelete, memoryGet } from "./get.ts";
import { memoryList, memoryTimeline } from "./list.ts";
import { memoryPage } from "./pages/memory-page.tsx";
import { memoryParts } from "./parts.ts";
import { memoryPlaces } from "./places.ts";
import { memoryPreset } from "./preset.ts";
import { memoryProfile } from "./profile.ts";
import { memorySearch } from "./search.ts";
import { memorySettingTable } from "./settings.ts";
import { memoryStore } from "./store.ts";

/** The manifest. */
export const memoryFeature: Feature = {
  name: "memory",
  settings: memorySettingTable,
  commands: memoryCommands,
  pages: [memoryPage],
  instructions: {
    tools: [
      { operation: "memory_store", verb: "write", use: "remember" },
      { operation: memoryProfile.name, verb: "read", use: "recall" },
    ],
  },
  preset: memoryPreset,
  operations: (node) => {
    const { keptSecrets, nowMs } = memoryParts(node);
    return [
      ...[memoryStore(keptSecrets), memoryGet, memoryList, memoryDelete, memorySearch, memoryTimeline, memoryProfile],
      ...[memoryCompact(keptSecrets, nowMs), memoryPlaces],
    ];
  },
};
