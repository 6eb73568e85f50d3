// fleet.run: what a node agrees to run of what the fleet declares (docs/security.md 20). It is a setting of the node
// alone; nothing in the log can widen it.

import { list } from "../config/setting.ts";

/** The setting, which a node alone has. */
export const fleetRunSettings = {
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

/** Something declared that would run on a node. */
export interface Runnable {
  /** Kind of the declaration, such as `probe`. */
  kind: string;
  name: string;
  labels: readonly string[];
}

/** How an entry of the setting names a label. */
const BY_LABEL = "label:";

/**
 * Reports whether a node with this setting agrees. An entry is the name of a declaration, kind and name with a slash,
 * or `label:` and a label that the declaration has; a `*` at its end stands for any characters.
 */
export function agreesToRun(entries: readonly string[], { kind, name, labels }: Runnable): boolean {
  return entries.some((entry) => {
    if (entry.startsWith(BY_LABEL)) return labels.some((label) => fits(entry.slice(BY_LABEL.length), label));
    return fits(entry, entry.includes("/") ? `${kind}/${name}` : name);
  });
}

function fits(entry: string, text: string): boolean {
  return entry.endsWith("*") ? text.startsWith(entry.slice(0, -1)) : entry === text;
}
