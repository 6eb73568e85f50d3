// fleet.run: what a node agrees to run of what the fleet declares (docs/security.md 20). It is a setting of the node
// alone; nothing in the log can widen it.

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
