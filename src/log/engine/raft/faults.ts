// The Faults of the raft engine: for writes that were not made or may have been, for folders that do not belong
// together, and for what ends the node.

import { Fault } from "../../../lib/fault.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { isDamaged, isStorageFull } from "../../../store/store.ts";
import { UnknownCommand } from "../../log.ts";
import type { RefusedReason } from "./frames.ts";

/** Returns the Fault of a refused proposal. Only after `unknown` it may still be written. */
export function refusedProposal(reason: RefusedReason, leader: string): Fault {
  if (reason === "unknown") return unknownOutcome();
  const message =
    reason === "busy"
      ? "The leader is handing over or takes no more writes at this moment; nothing was written"
      : reason === "replaced"
        ? "The leader changed while this was on its way, and another entry took its place; nothing was written"
        : `This node does not lead${leader === "" ? " and knows no leader" : ""}; nothing was written`;
  return new Fault("unavailable", message, {
    hint: "Try again in a moment.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 1 },
  });
}

/** Returns the Fault of a write whose outcome this node cannot know. */
export function unknownOutcome(): Fault {
  return new Fault("unavailable", "Whether the write was made is unknown", {
    hint: "Read before you write again, or repeat it with the same idempotency key.",
    facts: { outcome: "unknown" },
  });
}

/** Returns the Fault of a write before the member runs: nothing was written. */
export function notStarted(): Fault {
  return new Fault("unavailable", "This node is not a member of its fleet yet; nothing was written", {
    hint: "Try again when it has joined; `cairn status` says what it waits for.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 1 },
  });
}

/** Why a store and a raft folder cannot be used together. */
export type QuarantineReason =
  /** The raft folder exists and the store does not. */
  | "store_lost"
  /** The store belongs to another member. */
  | "other_store"
  /** The store does not agree with the raft log. */
  | "store_unusable"
  /** The store was in a fleet and its raft folder is missing. */
  | "raft_lost"
  /** The raft folder is of a member, and the store was never in a fleet. */
  | "other_server"
  /** The raft folder is older than what it acknowledged, or is damaged. */
  | "rolled_back";

/** Faults of a store whose raft folder is sound: the member keeps its vote and gets a copy. */
const STORE_REASONS: ReadonlySet<string> = new Set<QuarantineReason | "two_histories">([
  "store_lost",
  "other_store",
  "store_unusable",
  "two_histories",
]);

/** Reports whether a quarantine of this reason costs the store alone, and not the server id and the vote. */
export function keepsVote(reason: string): boolean {
  return STORE_REASONS.has(reason);
}

/**
 * Returns the Fault of a store and a raft folder that do not belong together. Nothing was changed, and the node must
 * not continue from there.
 */
export function quarantine(reason: QuarantineReason, message: string, details: Record<string, unknown> = {}): Fault {
  return new Fault("data_corrupt", message, {
    hint: "Keep a copy of the data folder. A fleet of one goes on from its store with `cairn recover --accept-loss`, or from a backup with `cairn restore`; a member of a larger fleet comes back by itself once most of the others are there.",
    facts: { quarantine: reason },
    details,
  });
}

/** Returns the Fault for the error with which the Go half ended the member. */
export function memberFault(code: string, message: string): Fault {
  if (code === "quarantine" || code === "store") {
    const text = message.replace(/; set the (?:data|store) aside and [a-z ]+$/, "");
    return quarantine(
      code === "store" ? "store_unusable" : "rolled_back",
      `The store and the raft folder of this node do not belong together: ${text}`,
    );
  }
  return new Fault("log_failed", `The replicated log of this node failed: ${message}`, {
    hint: "Look at the disk of the data folder, then start again; every acknowledged write is on disk.",
  });
}

/** Returns the Fault of committed entries that come without those before them (replication.md 14). */
export function missingEntries(applied: number, previous: number): Fault {
  return new Fault("log_failed", `This node has applied entry ${applied} and was given what follows ${previous}`, {
    hint: "Start the node again; it then applies what is missing, or joins its fleet again.",
  });
}

/** Returns the Fault of a connection to the Go half that ended while the log was in use. */
export function linkLost(cause: unknown): Fault {
  const reason = reasonOf(cause);
  return new Fault("log_failed", `The part of cairn that keeps the replicated log ended: ${reason}`, {
    hint: "Start the node again; every acknowledged write is on disk.",
    cause,
  });
}

/**
 * Returns the Fault of a committed entry that cannot be applied here. The node stops, because continuing without it
 * would be wrong, and stops again until a build or a disk comes that can.
 */
export function applyFault(cause: unknown, at: string): Fault {
  if (cause instanceof Fault) return cause;
  const reason = reasonOf(cause);
  const kept = "Nothing is lost: acknowledged writes are in the log and the store.";
  if (cause instanceof UnknownCommand) {
    return new Fault("data_newer", `${at}: ${reason}`, {
      hint: `Start a version that knows it, such as the other members run. ${kept}`,
      cause,
    });
  }
  if (isStorageFull(cause)) {
    return new Fault("storage_full", `The disk of this node is full; ${at} is not applied, and the node stops`, {
      hint: `Free space on the disk of the data folder, then start again. ${kept}`,
      cause,
    });
  }
  if (isDamaged(cause)) {
    return new Fault("data_corrupt", `The store failed; ${at} is not applied, and the node stops: ${reason}`, {
      hint: `Look at the disk of the data folder, then start again. ${kept}`,
      cause,
    });
  }
  return new Fault("log_failed", `${at} cannot be applied, and the node stops: ${reason}`, {
    hint: `Every start will stop at it; start a version that mends this. ${kept}`,
    cause,
  });
}
