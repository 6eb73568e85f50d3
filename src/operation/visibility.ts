// Which rows a viewer may read, for features whose rows have a visibility (features.md 3): one rule, which every
// road asks. The right to read the space is judged before. What no line here allows is denied.

/** What a row may say of who reads it. */
export const VISIBILITIES = ["public", "private", "agent_only", "admin_only"] as const;
/** One of VISIBILITIES. */
export type Visibility = (typeof VISIBILITIES)[number];

/** The columns of a row that decide who reads it. */
export interface GuardedRow {
  /** A word of VISIBILITIES; any other one lets nobody read. */
  visibility: string;
  /** The author: its caller as commands name it, its agent or "", and the type of that agent where it counts, or "". */
  caller: string;
  agent: string;
  type: string;
  /** The names it is addressed to, folded and framed: `\na\nb\n`, or "". */
  recipients: string;
}

/** Who wants to read a row, in the space of that row. */
export interface Viewer {
  /** The caller as commands name it. */
  caller: string;
  /** Its agent, or "". */
  agent: string;
  /** The type of that agent where a grant lists it for the space, or "". */
  type: string;
  /** Every name by which it is addressed, folded: its agent, its login, its tags. */
  names: readonly string[];
  /** It is an admin of the space. */
  isAdmin: boolean;
}

/** Reports whether the viewer may read the row. */
export function mayRead(row: GuardedRow, viewer: Viewer): boolean {
  switch (row.visibility) {
    case "public":
      return true;
    case "private":
      return isAuthor(row, viewer) || viewer.names.some((name) => row.recipients.includes(`\n${name}\n`));
    case "agent_only":
      return row.type !== "" && row.type === viewer.type;
    case "admin_only":
      return viewer.isAdmin;
    default:
      return false;
  }
}

/**
 * Reports whether the viewer is the author. What a caller wrote itself is also its agents'; what an agent wrote is that
 * agent's alone.
 */
export function isAuthor(
  row: Pick<GuardedRow, "caller" | "agent">,
  { caller, agent }: Pick<Viewer, "caller" | "agent">,
): boolean {
  return row.caller === caller && (row.agent === "" || row.agent === agent);
}
