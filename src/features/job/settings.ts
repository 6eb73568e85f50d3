// The setting of how much a node runs at once.

import { count } from "../../config/setting.ts";

/** By dotted name. */
export const jobSettings = {
  "fleet.jobs": count(2, { min: 1, max: 32 }, "Jobs that this node runs at once, of those that fleet.run lets it run."),
} as const;
