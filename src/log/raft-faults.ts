// What callers are told when a write or a start did not come through raft.

import { Fault } from "../lib/fault.ts";
import type { RefusedReason } from "./raft-frames.ts";

/** The refusal of a proposal; only after `unknown` it may still be written. */
export function lost(reason: RefusedReason, leader: string): Fault {
  if (reason === "unknown") return unknownOutcome();
  const message =
    reason === "busy"
      ? "The leader is handing over or takes no more writes at this moment; nothing was written"
      : `This node does not lead${leader === "" ? " and knows no leader" : ""}; nothing was written`;
  return new Fault("unavailable", message, {
    hint: "Try again in a moment.",
    details: { retryAfterSeconds: 1, outcome: "not_written" },
  });
}

/** Nobody here can tell whether it was written. */
export function unknownOutcome(): Fault {
  return new Fault("unavailable", "Whether the write was made is unknown", {
    hint: "Read before you write again, or repeat it with the same idempotency key.",
    details: { outcome: "unknown" },
  });
}

/** What ended the member. */
export function startFault(code: string, message: string): unknown {
  if (code !== "quarantine") return new Error(`the raft member failed: ${message}`);
  return new Fault("data_corrupt", `The store and the raft folder of this node do not belong together: ${message}`, {
    hint: "Keep a copy of the data folder, then join again as a new member.",
  });
}
