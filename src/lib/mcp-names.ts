// Names in MCP messages that the endpoint and its own clients share: the bridge and simulated agents.

/** The protocol revision without sessions. */
export const STATELESS_REVISION = "2026-07-28";

/** `_meta` key under which a failed tool call repeats its error for programs. */
export const FAULT_META = "cairn.internal/fault";

/** `_meta` key under which a listed tool says what its schema cannot, as an OperationMeta. */
export const OPERATION_META = "cairn.internal/operation";

/** What clients may rely on to call a tool again by themselves; the tools of operations have the entry. */
export interface OperationMeta {
  /** Takes `min_position`, the position that its answer must have reached. */
  positioned?: true;
  /** A call may wait; its arguments are `since`, a position, and `timeout_seconds`. */
  waits?: true;
  /** Takes `idempotency_key`: with one, repeated calls have one effect. */
  keyed?: true;
}

/** `_meta` key of a result whose other members are those of another server: the position of the answer. */
export const POSITION_META = "cairn.internal/position";

/** `_meta` key of a tool for Claude Code: words by which it is found while its schema is not loaded. */
export const SEARCH_META = "anthropic/searchHint";

/** `_meta` key of a tool for Claude Code: its schema is loaded from the beginning. */
export const LOAD_META = "anthropic/alwaysLoad";

/** `_meta` key of a tool for Claude Code: results of up to so many characters are shown to its model as they are. */
export const SIZE_META = "anthropic/maxResultSizeChars";

/** Key of `_meta` in a request: the handle of the agent as which its client acts. */
export const AGENT_META = "cairn.internal/agent";
/** The header that says the same. */
export const AGENT_HEADER = "cairn-agent";
