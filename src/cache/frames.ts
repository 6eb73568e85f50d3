// What an edge asks its upstream over the peer path `feed`, and what it is answered: changes of the spaces it is enrolled for, whole entries, and how the two stand to each other in time.

import { z } from "zod";
import { memberShape } from "../fleet/index.ts";
import type { Change } from "../log/changes.ts";
import { EDGE_MODES } from "../operation/edge-modes.ts";

/** The longest that a feed call is held, in ms. */
export const MAX_HOLD_MS = 1000;

/** A call of the feed; times in ms. */
export const feedRequest = z.strictObject({
  /** Changes after this position; null asks for nothing but where the upstream is. */
  since: z.string().max(64).nullable(),
  holdMs: z.number().int().min(0).max(MAX_HOLD_MS),
  /** The newest epoch that the edge knows; "" for none. */
  epoch: z.string().max(16),
  /** Of the spaces that it is enrolled for, those that it wants; globs. */
  spaces: z.array(z.string().max(256)).max(1000),
  /** What the edge knows of itself and of spaces, as the last answer named it; "" for nothing. */
  terms: z.string().max(64),
});
export type FeedRequest = z.infer<typeof feedRequest>;

const text = (max: number) => z.string().max(max);

const item = z.strictObject({
  seq: z.number().int().positive(),
  epoch: text(16),
  timeMs: z.number(),
  caller: text(512),
  via: text(128),
  operation: text(64),
  target: text(512),
  version: z.number().int(),
  contentHash: text(64),
  outcome: text(64),
}) satisfies z.ZodType<Change>;

/** What holds between a fleet and one edge; sent when the edge knows it otherwise. */
export const feedTerms = z.strictObject({
  /** Names this state of the terms. */
  id: text(64),
  /** Random id of the fleet. */
  fleet: text(64),
  /** Spaces that the edge is enrolled for, and of them those that it wanted; globs. */
  spaces: z.array(text(256)).max(1000),
  wanted: z.array(text(256)).max(1000),
  /** Spaces whose mode was set; the others are `fresh`. */
  modes: z.array(z.tuple([text(256), z.enum(EDGE_MODES)])).max(100_000),
  /** Members of the fleet: whom to follow, and whom to show. */
  members: z.array(memberShape).max(1000),
});
/** What holds between a fleet and one edge. */
export type FeedTerms = z.infer<typeof feedTerms>;

/** The answer to a call of the feed. */
export const feedAnswer = z.strictObject({
  epoch: text(16),
  /** The last change of a whole entry; everything up to here is in this answer or before it. */
  position: text(64),
  items: z.array(item).max(40_000),
  /** Whether the upstream has more: this answer then says nothing about how things are now. */
  more: z.boolean(),
  /** How long the upstream held the call before it looked for the last time, in ms. */
  heldMs: z.number().min(0),
  /** How old the upstream's own state may be, in ms; null while it cannot tell. */
  ageMs: z.number().min(0).nullable(),
  /** Where the edge knows another newest epoch: all of them. */
  epochs: z
    .array(
      z.strictObject({ n: z.number().int(), id: text(16), parent: text(16).nullable(), forkSeq: z.number().int() }),
    )
    .max(10_000)
    .nullable(),
  terms: feedTerms.nullable(),
});
export type FeedAnswer = z.infer<typeof feedAnswer>;
