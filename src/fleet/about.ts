// What a node says of its fleet to those who may look for one: the peer path `about`, and the same at /.well-known/cairn.

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
  /** StableNodeID of the member that leads; "" while nobody is known to. */
  leader: z.string().max(64),
  /** Members of the fleet, itself included. */
  size: z.number().int(),
  version: z.string().max(64),
  level: z.number().int(),
});

/** What a node is in which fleet. */
export type About = z.infer<typeof aboutShape>;

/** Peer path; anyone may ask, candidates are answered. */
export const ABOUT = "about";

/** Whether a caller without any right may know which fleet this is: it could join (security.md 17). */
export function isCandidate(caller: Caller, ownTags: readonly string[], joinRoles: readonly string[]): boolean {
  if (caller.kind === "shared") return false;
  return caller.own || joinRoles.length > 0 || caller.tags.some((tag) => ownTags.includes(tag));
}
