// What a node says about its fleet to nodes that may join it: the peer path `about`, and the same at
// /.well-known/cairn.

import { z } from "zod";
import type { Caller } from "../access/caller.ts";
import { PROFILES, ROLES } from "./rows.ts";

/** The answer of the peer path `about`. */
export const aboutShape = z.object({
  fleetId: z.string().min(1).max(64),
  fleet: z.string().max(128),
  epoch: z.string().max(64),
  profile: z.enum(PROFILES),
  role: z.enum(ROLES),
  /** StableNodeID of the leader; "" while none is known. */
  leader: z.string().max(64),
  /** Members of the fleet, itself included. */
  size: z.number().int(),
  version: z.string().max(64),
  level: z.number().int(),
});

/** A node's fleet, and its role in it. */
export type About = z.infer<typeof aboutShape>;

/** Peer path. Any device may ask; members and candidates get an answer. */
export const ABOUT = "about";

/** Reports whether a caller without rights may know which fleet this is, because it could join it (security.md 17). */
export function isCandidate(caller: Caller, ownTags: readonly string[], joinRoles: readonly string[]): boolean {
  if (caller.kind === "shared") return false;
  return caller.own || joinRoles.length > 0 || caller.tags.some((tag) => ownTags.includes(tag));
}
