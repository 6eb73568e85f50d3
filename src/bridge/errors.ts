// Why a request to a node failed, by what may be done next.

import { type AttemptProof, wasNeverSent } from "../lib/attempt-proof.ts";
import { connectionReason } from "../lib/reason-of.ts";

/** The request never reached the node, or the node refused to look at it. It may be sent again, here or elsewhere. */
export class NotSentError extends Error {
  /** Whether the message is complete without the node's name in front. */
  readonly isComplete: boolean;

  constructor(message: string, isComplete = false) {
    super(message);
    this.isComplete = isComplete;
  }
}

/** The node answered that it is not ready: it starts, or it stops and takes no new calls. */
export class NotReadyError extends NotSentError {
  constructor() {
    super("it is not ready");
  }
}

/** The request was sent and no response came: it may have been executed. */
export class OutcomeUnknownError extends Error {}

/** The node responded that it cannot serve the call now. `text` is that response. */
export class UnavailableError extends Error {
  readonly text: string;
  /** What the response proves about a write. */
  readonly proof: AttemptProof;

  constructor(text: string, proof: AttemptProof) {
    super("it cannot serve calls now");
    this.text = text;
    this.proof = proof;
  }
}

/** The node refuses this caller; asking again helps only after its grants have changed. */
export class RefusedError extends Error {}

/** Turns an error of `fetch` into what it means for the request. */
export function sendErrorOf(cause: unknown): NotSentError | OutcomeUnknownError {
  return wasNeverSent(cause)
    ? new NotSentError(connectionReason(cause))
    : new OutcomeUnknownError(connectionReason(cause));
}
