// fleet.json in the raft folder (or the edge's): which fleet this data folder belongs to and whom it may talk to, written at admission. A joiner that dies before its first snapshot goes on by it, and a start knows by it that it is a member.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { type Member, PROFILES, ROLES } from "../rows.ts";

const shapeOfMember = z.object({
  node: z.string(),
  server: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  state: z.enum(["active", "leaving"]),
  spaces: z.array(z.string()),
  level: z.number().int(),
  version: z.string(),
  joinedMs: z.number(),
});

/** Schema of a member as nodes tell each other. */
export const memberShape: z.ZodType<Member> = shapeOfMember;

const shape = z.object({
  fleetId: z.string(),
  epoch: z.string(),
  fleet: z.string(),
  profile: z.enum(PROFILES),
  role: z.enum(ROLES),
  /** StableNodeID of this node when it was admitted: another one means that the folder was copied. */
  node: z.string(),
  spaces: z.array(z.string()),
  members: z.array(memberShape).max(1000),
  /** The members said that this node is none any more: a start that is to join a fleet sets these data aside. */
  removed: z.boolean().optional(),
});

/** What a node keeps of its fleet beside the store. */
export type FleetFile = z.infer<typeof shape>;

const NAME = "fleet.json";

/** Reads it; undefined where there is none. Fault `data_corrupt`. */
export function readFleetFile(folder: string): FleetFile | undefined {
  const path = join(folder, NAME);
  if (!existsSync(path)) return undefined;
  try {
    return shape.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new Fault("data_corrupt", `${path} cannot be read: ${reasonOf(cause)}`, {
      hint: "Move the data folder away and join again.",
      cause,
    });
  }
}

/** Writes it, durable, whole or not at all. */
export function writeFleetFile(folder: string, file: FleetFile): void {
  writeAtomic(join(folder, NAME), `${JSON.stringify(file, null, 2)}\n`);
}
