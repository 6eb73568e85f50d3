// The mark of a response that this node's Go half made itself in the place of what was asked (native/PROTOCOL.md). It
// removes the header from answers of others, so none of them can forge it.

/** The header; its value is a code such as `dial_failed` or `exchange_failed`. */
export const EGRESS_REFUSAL_HEADER = "cairn-internal-refusal";
