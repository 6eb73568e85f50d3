// The setting of memories: which secrets are stored as they are.

import { list } from "../../config/setting.ts";
import { SCRUB_RULES } from "./scrub-rules.ts";

const names = SCRUB_RULES.map(({ name }) => name);

/** Which rules of scrubbing are switched off. */
export const memorySettingTable = {
  "memory.keep_secrets": list(
    "RULES",
    "Rules by which memories that this node takes are not scrubbed, such as jwt,env-line; all: by none. memory_places lists the rules.",
    {
      wanted: `all, or names of rules: ${names.join(", ")}`,
      fits: (text) => text === "all" || names.includes(text),
    },
  ),
} as const;
