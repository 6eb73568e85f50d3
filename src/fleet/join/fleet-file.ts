// fleet.json in the raft folder (or the edge's folder): the fleet of this data folder and its members, written at
// admission. A start reads from it that the node is a member; a joiner that ended before its first snapshot continues
// by it.

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

/** Schema of a member as nodes send it to each other. */
export const memberShape: z.ZodType<Member> = shapeOfMember;

const shape = z.object({
  fleetId: z.string(),
  epoch: z.string(),
  fleet: z.string(),
  profile: z.enum(PROFILES),
  role: z.enum(ROLES),
  /** StableNodeID of this node when it was admitted. A different device means that the folder was copied. */
  node: z.string(),
  spaces: z.array(z.string()),
  members: z.array(memberShape).max(1000),
  /** The fleet removed this node: a start that is to join a fleet moves these data to aside/. */
  removed: z.boolean().optional(),
});

/** What a node keeps about its fleet beside the store. */
export type FleetFile = z.infer<typeof shape>;

const NAME = "fleet.json";

/** Reads the file; undefined if there is none. Fault `data_corrupt`. */
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

/** Writes the file atomically and durably. */
export function writeFleetFile(folder: string, file: FleetFile): void {
  writeAtomic(join(folder, NAME), `${JSON.stringify(file, null, 2)}\n`);
}
