// The request and the answer of the peer path `feed`: changes of the spaces that an edge is enrolled for, in whole
// entries, and how old the state of the upstream is.

import { z } from "zod";
import { memberShape } from "../fleet/index.ts";
import { AGENT_NAME } from "../lib/agent-key.ts";
import { MAX_CLIENT } from "../lib/client-claim.ts";
import type { Change } from "../log/changes.ts";
import { EDGE_MODES } from "../operation/edge-modes.ts";

/** Longest time for which a feed call is held, in ms. */
export const MAX_HOLD_MS = 1000;

/** A request of the feed; times in ms. */
export const feedRequest = z.strictObject({
  /** Return changes after this position; null: only the upstream's position. */
  since: z.string().max(64).nullable(),
  /** How long to wait for a change. */
  holdMs: z.number().int().min(0).max(MAX_HOLD_MS),
  /** The newest epoch that the edge knows; "" for none. */
  epoch: z.string().max(16),
  /** Globs of the spaces that it wants, of those it is enrolled for. */
  spaces: z.array(z.string().max(256)).max(1000),
  /** Id of the terms that the edge knows; "" for none. */
  terms: z.string().max(64),
});
export type FeedRequest = z.infer<typeof feedRequest>;

const text = (max: number) => z.string().max(max);

/** A change. */
const item = z.strictObject({
  seq: z.number().int().positive(),
  epoch: text(16),
  timeMs: z.number(),
  caller: text(512),
  via: text(128),
  /** Left out where there is none, and for edges whose build knows none. */
  client: text(MAX_CLIENT).optional(),
  /** As `client`. */
  agent: z.string().regex(AGENT_NAME).optional(),
  operation: text(64),
  target: text(512),
  version: z.number().int(),
  contentHash: text(64),
  outcome: text(64),
}) satisfies z.ZodType<Change>;

/** The terms of one edge in its fleet; sent if the edge knows others. */
export const feedTerms = z.strictObject({
  /** Hash of the rest. */
  id: text(64),
  /** Random id of the fleet. */
  fleet: text(64),
  /** Globs of the spaces that the edge is enrolled for, and of those that it wants. */
  spaces: z.array(text(256)).max(1000),
  wanted: z.array(text(256)).max(1000),
  /** Modes of spaces that are not `fresh`. */
  modes: z.array(z.tuple([text(256), z.enum(EDGE_MODES)])).max(100_000),
  /** Members of the fleet, to follow and to show. */
  members: z.array(memberShape).max(1000),
});
/** What holds between a fleet and one edge. */
export type FeedTerms = z.infer<typeof feedTerms>;

/** The answer to a call of the feed. */
export const feedAnswer = z.strictObject({
  epoch: text(16),
  /** The end of a whole entry. Everything up to it is in this answer or was in earlier ones. */
  position: text(64),
  items: z.array(item).max(40_000),
  /** Whether the upstream has more changes: then this answer proves nothing about the present. */
  more: z.boolean(),
  /** How long the upstream had held the call when it read its state, in ms. */
  heldMs: z.number().min(0),
  /** How old the upstream's own state may be, in ms; null while that is unknown. */
  ageMs: z.number().min(0).nullable(),
  /** All epochs, if the newest one is not the one that the edge knows. */
  epochs: z
    .array(
      z.strictObject({ n: z.number().int(), id: text(16), parent: text(16).nullable(), forkSeq: z.number().int() }),
    )
    .max(10_000)
    .nullable(),
  terms: feedTerms.nullable(),
});
export type FeedAnswer = z.infer<typeof feedAnswer>;
