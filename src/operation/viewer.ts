// Who asks to see a row that not everyone in its space may read, and the rules of features about changes of such rows.
// The rule about rows itself is in operation/visibility.ts.

import type { Change } from "../log/changes.ts";
import type { Reader } from "../store/store.ts";

/** Who asks, in one space that it may read. Each is as the present grants and the present state have it. */
export interface Viewer {
  /** Names of the caller in commands. A local one has had several: with its machine, and without. */
  callers: readonly string[];
  tags: readonly string[];
  /** The agent as which it asks. */
  agent?: string;
  /** The type of that agent, where a grant of the caller lists it for the space. */
  type?: string;
  /** Whether it is an admin of the space. */
  isAdmin: boolean;
}

/** Whoever may read the space, and is nobody in particular. */
export const ANYONE: Viewer = { callers: [], tags: [], isAdmin: false };

/**
 * Reports whether a viewer that may read the space of a change may see the change. Apply asks it too, for ANYONE
 * (own-events.ts): so it goes by the change and the rows alone, and another answer needs a new fleet level.
 */
export type ChangeRule = (change: Change, viewer: Viewer, reader: Reader) => boolean;

/** Rules by the name of the write that made the change. Changes of other writes are seen by all who read the space. */
export type ChangeRules = ReadonlyMap<string, ChangeRule>;
