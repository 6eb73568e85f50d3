// The setting of what a node agrees to run.

import { list } from "../../config/setting.ts";

/** By dotted name. */
export const declareSettings = {
  "fleet.run": {
    ...list(
      "NAME,…",
      "What this node runs of what the fleet declares: names such as backup-check, kind and name as probe/backup-check, their beginning and *, or label:nightly for what is declared with that label. Default: no commands. Whoever may write to the space fleet chooses the command line of what is named here.",
      {
        wanted: "a list of names such as backup-check, probe/backup-* or label:nightly",
        fits: (text) => /^(?:label:|[a-z][a-z_]{0,31}\/)?(?:\*|[a-z0-9][a-z0-9._-]{0,63}\*?)$/.test(text),
      },
    ),
    max: 64,
  },
} as const;
