// Every failure that Cairn shows a user: one table of codes with their HTTP status and exit code, and the class that
// carries them. Surfaces translate a Fault (lib/problem.ts, lib/failed-result.ts, cli/exit.ts); no other file sets a
// status.

import { detailsOfFacts, type FaultFacts, factsOfDetails, LINK_DETAILS } from "./fault-facts.ts";

/**
 * `status`: HTTP (RFC 9110, 6585, 5842). `exit`: process exit code of the CLI. `retryable`: the same call may succeed
 * later unchanged.
 */
export const FAULTS = {
  invalid_input: { status: 400, exit: 2, retryable: false, title: "Invalid input" },
  forbidden: { status: 403, exit: 10, retryable: false, title: "Not permitted" },
  forward_unseen: { status: 403, exit: 10, retryable: false, title: "Caller not seen by the leader" },
  join_refused: { status: 403, exit: 10, retryable: false, title: "Join refused" },
  agent_unknown: { status: 403, exit: 10, retryable: false, title: "Not this agent" },
  agent_taken: { status: 409, exit: 5, retryable: false, title: "Name of an agent in use" },
  in_use: { status: 409, exit: 5, retryable: false, title: "In use" },
  id_taken: { status: 409, exit: 5, retryable: false, title: "Id in use" },
  not_leader: { status: 409, exit: 5, retryable: false, title: "Another node leads" },
  last_voter: { status: 409, exit: 5, retryable: false, title: "The fleet would have no voter" },
  not_a_member: { status: 403, exit: 10, retryable: false, title: "Not a member of the fleet" },
  not_found: { status: 404, exit: 4, retryable: false, title: "Not found" },
  unknown_operation: { status: 404, exit: 2, retryable: false, title: "Unknown operation" },
  method_not_allowed: { status: 405, exit: 2, retryable: false, title: "Method not allowed" },
  deleted: { status: 410, exit: 4, retryable: false, title: "Deleted" },
  session_closed: { status: 409, exit: 5, retryable: false, title: "Session closed" },
  patch_failed: { status: 409, exit: 5, retryable: false, title: "Patch does not apply" },
  purged: { status: 410, exit: 4, retryable: false, title: "Purged" },
  history_forked: { status: 410, exit: 5, retryable: false, title: "History forked" },
  below_floor: { status: 410, exit: 5, retryable: false, title: "Older than the kept history" },
  lease_held: { status: 409, exit: 5, retryable: true, title: "Lease held by another" },
  lease_lost: { status: 409, exit: 5, retryable: false, title: "Lease not held" },
  fence_stale: { status: 409, exit: 5, retryable: false, title: "Older than the newest grant" },
  version_mismatch: { status: 412, exit: 5, retryable: false, title: "Version mismatch" },
  too_large: { status: 413, exit: 2, retryable: false, title: "Too large" },
  range_unknown: { status: 416, exit: 2, retryable: false, title: "No such range" },
  unsupported_media_type: { status: 415, exit: 2, retryable: false, title: "Unsupported media type" },
  misdirected: { status: 421, exit: 2, retryable: false, title: "Misdirected request" },
  key_reused: { status: 422, exit: 5, retryable: false, title: "Idempotency key used for another input" },
  rate_limited: { status: 429, exit: 6, retryable: true, title: "Too many requests" },
  internal: { status: 500, exit: 1, retryable: false, title: "Internal error" },
  unavailable: { status: 503, exit: 3, retryable: true, title: "Not available now" },
  event_log_unavailable: { status: 503, exit: 3, retryable: true, title: "Log of events not available now" },
  not_ready: { status: 503, exit: 3, retryable: true, title: "Nothing to answer from yet" },
  quota_exceeded: { status: 507, exit: 40, retryable: false, title: "Quota exceeded" },
  storage_full: { status: 507, exit: 40, retryable: true, title: "Storage full" },
  loop_detected: { status: 508, exit: 5, retryable: false, title: "Loop detected" },
  cancelled: { status: 499, exit: 130, retryable: true, title: "Cancelled" },
  auth_key: { status: 500, exit: 11, retryable: false, title: "Tailnet auth key refused" },
  config_invalid: { status: 500, exit: 20, retryable: false, title: "Invalid configuration" },
  policy_invalid: { status: 500, exit: 21, retryable: false, title: "Invalid policy file" },
  tailnet_failed: { status: 500, exit: 30, retryable: false, title: "Tailnet failed" },
  library_failed: { status: 500, exit: 31, retryable: false, title: "Native library failed" },
  not_running: { status: 503, exit: 32, retryable: true, title: "No node running" },
  data_locked: { status: 500, exit: 41, retryable: false, title: "Data folder in use" },
  data_newer: { status: 500, exit: 42, retryable: false, title: "Data from a newer version" },
  data_unsafe: { status: 500, exit: 43, retryable: false, title: "Data folder not private" },
  data_exists: { status: 409, exit: 45, retryable: false, title: "Data already there" },
  data_corrupt: { status: 500, exit: 44, retryable: false, title: "Data damaged" },
  log_failed: { status: 500, exit: 46, retryable: false, title: "Replicated log failed" },
} as const;

/** One of the codes of `FAULTS`; part of the API, never renamed. */
export type FaultCode = keyof typeof FAULTS;

/** What each code means and what to do, for docs/commands.md. A fault's own hint says more of the single case. */
export const FAULT_MEANINGS: Readonly<Record<FaultCode, string>> = {
  invalid_input:
    "An argument, header or body is not what the call takes. Correct what the text names; the same call fails again.",
  forbidden: "The caller lacks a right. The text prints the grant to add; `cairn access explain` says why.",
  forward_unseen:
    "The leader's network map does not show the calling device. Let the tailnet policy show it to the leader, or ask the leader itself.",
  join_refused: "The fleet does not let this node in; the table of reasons below says what to do.",
  agent_unknown:
    "The handle is that of no agent of this caller: it was ended by a takeover or a removal. Register again with `agent_register`, or leave the handle out to act as the caller itself.",
  agent_taken:
    "The name belongs to another caller, or to an agent of this caller that a takeover would end. The text says which.",
  in_use:
    "Something else refers to what the call would remove. The text says how much; take those references away first.",
  id_taken: "The id is that of a context which the caller may not read. Write under another id.",
  not_leader:
    "The asked node does not lead, and the call is not forwarded. Repeat it on the leader that the text names.",
  last_voter: "The step would leave the fleet without a voter. Promote or add another central first.",
  not_a_member: "The asking node is no member of this fleet. Join it with `cairn join`, if it should be one.",
  not_found: "There is nothing under this id, version or path that the call can use. Check it with a list.",
  unknown_operation:
    "This node has no operation of that name; the text names the nearest, or all where none is near. docs/operations.md lists all.",
  method_not_allowed: "The path exists, but not with this HTTP method. The header `Allow` lists those it has.",
  deleted: "The context was deleted. Its earlier versions can be read and restored.",
  patch_failed: "The patch does not fit the document as it is now. Read it again and send a patch for that.",
  session_closed: "The session takes no more messages. Open it again with session_reopen, or begin another one.",
  purged: "The content of this version was removed for good. Only its hash is left.",
  history_forked:
    "The position is of a history that the fleet left, after a recovery or restore. Begin again without a position.",
  below_floor: "What was asked for is older than what is kept. Begin again from a list, or from the newest position.",
  lease_held:
    "Another one holds the lease; the text names the holder and what for. Wait for it (`cairn lease wait`), or in line.",
  lease_lost:
    "The fence names no lease that the caller holds or waits for: it ended, or another one holds it. Acquire it again.",
  fence_stale: "The lease was granted to another one since this fence. Acquire it again and read before you write.",
  version_mismatch:
    "Another write came first. Read the context again, apply your change to it, and write with its new ETag.",
  too_large: "A body, document or command is above its limit, which the text names. Send less, or split it.",
  range_unknown: "The range of the request begins behind the last byte. The text names how many there are.",
  unsupported_media_type: "The Content-Type is not one that this route takes. Use one that the text names.",
  misdirected: "The request names a host that is not this node. Use the node's own URL, or set `http.allowed_hosts`.",
  key_reused: "The idempotency key was used for another input. Take a new key for a new write.",
  rate_limited:
    "The caller has too many requests, streams or kept outcomes. Wait for the time in `Retry-After`; the text names the limit.",
  internal: "A defect of Cairn. Look up the id of the text in the node's log and report it.",
  unavailable:
    "What the call needs, such as a leader, cannot be reached now. Repeat it; a write with the same idempotency key.",
  event_log_unavailable:
    "The log of events is in NATS JetStream, which cannot be reached, or a move between logs is at its end. Send the same call again: an event with an id of its own is kept once.",
  not_ready: "The node has no data to respond from yet. Wait until `/ready` is 200, or ask another member.",
  quota_exceeded:
    "The caller, the space or the fleet has as much as it may: kept bytes, or leases. Purge, delete or release something, or raise `quota.…`.",
  storage_full: "The disk has no room for writes, and nothing was written. Free space; reads still work.",
  loop_detected: "Other fleets sent an event back to a fleet that has passed it on. It is there already; send nothing.",
  cancelled: "The caller ended the call. A write may have been done if the outcome is `unknown`.",
  auth_key: "The control server refused the key. Make a new one and set `TS_AUTHKEY`.",
  config_invalid:
    "A setting cannot be used; nothing was started. Correct it; `cairn config validate` checks without a start.",
  policy_invalid: "The policy file cannot be used. Correct what the text names.",
  tailnet_failed:
    "The tailnet half did not start or ended. The text has its reason; start the node again once that is mended.",
  library_failed:
    "The Go library cannot be loaded here. Replace the executable by a fresh copy for this machine; the text says more.",
  not_running: "No node responds at this socket or address. Start it with `cairn serve`, or name another with `--url`.",
  data_locked: "Another process uses the data folder. Stop that one, or choose another folder with `--data`.",
  data_newer: "A newer version wrote the data. Start that version or a newer one; nothing was changed.",
  data_unsafe: "Other users can change the data folder or a folder above it. Correct owner and mode as the text says.",
  data_exists:
    "Data is already where this would write, and nothing is overwritten. Choose another place or move it away.",
  data_corrupt:
    "A file of the data folder is damaged. Keep a copy of the folder, then run `cairn doctor` or restore a backup.",
  log_failed:
    "The replicated log stopped, and the node with it. The text has the reason; `cairn doctor` looks at the rest.",
};

export interface FaultOptions {
  /** What to run or change next, as one sentence. */
  hint?: string | undefined;
  /** What code decides by; shown among the details. */
  facts?: FaultFacts;
  /** Further extras for clients, such as `{etag}` or `{retryAfterSeconds}`; no code decides by them. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** An expected failure. `message` says what failed and quotes the value; callers see it, so it never holds a secret. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly hint: string | undefined;
  readonly facts: FaultFacts;
  /**
   * What clients are shown beside code, message and hint: facts and extras by the names of the public API. Only what
   * renders or sends a fault reads it (scripts/check-arrows.ts); everything else asks `facts`.
   */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Fault";
    this.code = code;
    this.hint = options.hint;
    this.facts = options.facts ?? {};
    this.details = { ...options.details, ...detailsOfFacts(this.facts) };
  }

  /** Returns this failure in other words, with more details, and with the same facts. */
  retold(message: string, { code = this.code, hint = this.hint, details, cause }: RetoldOptions = {}): Fault {
    const kept = { facts: this.facts, details: { ...this.details, ...details } };
    return new Fault(code, message, { hint: hint ?? undefined, ...kept, cause });
  }

  /** Returns the answer to a call that was passed on to a peer: how the call reached that peer is left out. */
  passedOn(): Fault {
    const { fromPeer: _, outcome, ...facts } = this.facts;
    const isOfLink = outcome === "not_sent" || outcome === "maybe_sent";
    const details = Object.entries(this.details).filter(([name]) => !LINK_DETAILS.includes(name));
    return new Fault(this.code, this.message, {
      hint: this.hint,
      facts: isOfLink ? facts : { ...facts, outcome },
      details: Object.fromEntries(details),
    });
  }
}

interface RetoldOptions extends Omit<FaultOptions, "facts" | "hint"> {
  /** Left out: the hint as it is; null: none. */
  hint?: string | null | undefined;
  code?: FaultCode;
}

/** A fault as it is sent to another process, or kept in the log. */
export interface WrittenFault {
  code: string;
  message: string;
  hint?: string | undefined;
  details?: Readonly<Record<string, unknown>> | undefined;
}

/** Returns the fault as it is sent or kept. */
export function writeFault({ code, message, hint, details }: Fault): WrittenFault {
  return { code, message, hint, details };
}

/**
 * Returns the fault that another process, or the log, wrote: with the facts that it may tell, and with what this node
 * knows of it by itself. A code that this build does not know becomes `internal`.
 */
export function readFault({ code, message, hint, details = {} }: WrittenFault, own: FaultFacts = {}): Fault {
  const known = isFaultCode(code) ? code : "internal";
  return new Fault(known, message, { hint, details, facts: { ...factsOfDetails(known, details), ...own } });
}

/** Reports whether a text, from a log or a peer, is a code of this build. */
export function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(FAULTS, code);
}
