// What a write carries of its caller as a reader, so that apply can judge which rows it may read: the names and tags of
// the caller, and whether it is an admin of the space. Agent and type are in the stamp. The rule: visibility.ts.

import type { Stamp } from "../log/log.ts";
import type { Proposer } from "./define.ts";
import { ANYONE, type Viewer } from "./viewer.ts";

/** What a command carries of its caller, as the node that proposed it found it. */
export interface Reading {
  callers: readonly string[];
  tags: readonly string[];
  is_admin: boolean;
}

/** Returns that part of a command. */
export function readingOf(proposer: Proposer | undefined, space: string): Reading {
  const { callers, tags, isAdmin } = proposer?.viewer(space) ?? ANYONE;
  return { callers, tags, is_admin: isAdmin };
}

/** The same in a command that carries only what its stamp does not say: most callers have one name and no tags. */
export interface BriefReading {
  reading?: Partial<Reading>;
}

/** Returns that part of a command. */
export function briefReadingOf(proposer: Proposer | undefined, space: string): BriefReading {
  const { callers, tags, is_admin } = readingOf(proposer, space);
  const reading: Partial<Reading> = {
    ...(callers.length > 1 ? { callers } : {}),
    ...(tags.length > 0 ? { tags } : {}),
    ...(is_admin ? { is_admin } : {}),
  };
  return Object.keys(reading).length === 0 ? {} : { reading };
}

/** Returns who reads, in apply. */
export function viewerOf(
  { callers = [], tags = [], is_admin = false }: Partial<Reading>,
  { caller, agent, agentType }: Pick<Stamp, "caller" | "agent" | "agentType">,
): Viewer {
  return {
    callers: [...new Set([caller, ...callers])],
    tags,
    ...(agent === undefined ? {} : { agent }),
    ...(agentType === undefined ? {} : { type: agentType }),
    isAdmin: is_admin,
  };
}
