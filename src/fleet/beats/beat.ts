// The beat: the heartbeat that members send each other once a second. A question and its answer have the same shape.

import { z } from "zod";
import { machineShape } from "../../observe/machine/facts.ts";
import { PROFILES, ROLES } from "../rows.ts";

/** Peer path between members. */
export const BEAT = "beat";

/** At most this many other members are compared in a beat; a fleet has at most 100. */
const MAX_AGREED = 128;
/** Most names in `kept`, and most characters of one. */
export const MAX_KEPT_NAMES = 16;
export const MAX_KEPT_CHARACTERS = 200;

/** What a node reports of itself. Times in ms, sizes in bytes. */
export const beatShape = z.object({
  node: z.string().max(64),
  server: z.string().max(64),
  name: z.string().max(128),
  role: z.enum(ROLES),
  /** Others show it to people; a beat is a sign of life whatever its build calls itself. */
  version: z
    .string()
    .max(64)
    .regex(/^[\x20-\x7e]*$/)
    .catch("unknown"),
  /** The newest level that its build knows; `fleetLevel` is the fleet's as it has applied it. */
  level: z.number().int(),
  fleetLevel: z.number().int(),
  epoch: z.string().max(64),
  seq: z.number().int(),
  /** Chain hash of the change `seq`, as hex. */
  hash: z.string().max(64),
  /** Running digest of its state: `<commands>-<hash>`; undefined where it keeps none. */
  digest: z.string().max(96).optional(),
  /** Up to which number of commands its digest and those of other full members are the same, as far as it compared. */
  agreed: z
    .array(z.object({ node: z.string().max(64), count: z.number().int() }))
    .max(MAX_AGREED)
    .optional(),
  /** Its wall clock. */
  timeMs: z.number(),
  /** Raft: who leads as the node knows, and how far its log is. */
  leading: z.boolean(),
  leader: z.string().max(64),
  term: z.number(),
  /**
   * The term in which it leads and its duties have begun, so that it has applied everything acknowledged before; 0
   * otherwise.
   */
  begun: z.number().optional(),
  /** The latest term that its raft knew after the question had arrived; undefined where raft could not be read. */
  raftTerm: z.number().optional(),
  last: z.number(),
  applied: z.number(),
  configuration: z.number(),
  fsyncP99Ms: z.number(),
  /** Writes to its log that `fsyncP99Ms` covers; undefined from a build that does not count them. */
  fsyncSamples: z.number().int().optional(),
  electionsIn10Min: z.number(),
  profile: z.enum(PROFILES),
  /** Resident memory and free disk, for people. */
  memory: z.number(),
  diskFree: z.number(),
  /**
   * Seq of the newest purge that it knows, and up to which seq its disk holds no purged text any more; undefined from
   * builds that erase nothing.
   */
  purged: z.number().int().optional(),
  erased: z.number().int().optional(),
  /** Names of backups and other data that it keeps from before that purge. */
  kept: z.array(z.string().max(MAX_KEPT_CHARACTERS)).max(MAX_KEPT_NAMES).optional(),
  /** Name of its newest backup; "" or undefined: none. */
  backup: z.string().max(MAX_KEPT_CHARACTERS).optional(),
  /** Codes of its conditions. */
  conditions: z.array(z.string().max(64)).max(64),
  startedMs: z.number(),
  /**
   * Facts of its machine; undefined from builds that know none, before the first reading, and where another build sends
   * what this one does not understand: a beat is a sign of life whatever is said in it.
   */
  machine: machineShape.optional().catch(undefined),
});

/** A beat. */
export type Beat = z.infer<typeof beatShape>;

/** The newest beat of another member, question or answer. */
export interface ReceivedBeat {
  beat: Beat;
  /** On this node's monotonic clock. */
  atMs: number;
  /** Of the last beat that this node sent; undefined when only the other side sends. */
  roundTripMs: number | undefined;
  /** How far its wall clock is ahead of this node's. */
  skewMs: number;
}

/**
 * The newest answer to a question of this node. It was true at some moment after the question was sent. A question of
 * the other side proves no time: a broken connection may deliver it late.
 */
export interface Answered {
  beat: Beat;
  /** When the question was sent, on a clock that counts sleep. */
  askedMs: number;
}
