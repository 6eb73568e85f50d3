// A change, the row of the table that keeps it, and whether it fits what is there.

/** One change, as the rest of the product sees it: a row of the change table. */
export interface Change {
  seq: number;
  epoch: string;
  /** Log time in ms. */
  timeMs: number;
  caller: string;
  via: string;
  /** What the client of the caller said of itself, a claim; left out: nothing. */
  client?: string | undefined;
  /** Name of the agent as which the caller acted; left out: the caller itself. */
  agent?: string | undefined;
  operation: string;
  /** Id of what changed; for contexts the context id. */
  target: string;
  version: number;
  /** Hex SHA-256 of the content bytes, or "" where there is none. */
  contentHash: string;
  /** The kind of change, such as `created`, `updated`, `deleted`. */
  outcome: string;
}

/** A row of the table `changes`, without its hash. */
export interface ChangeRow {
  seq: number;
  epoch: string;
  log_time: number;
  caller: string;
  via: string;
  operation: string;
  target: string;
  version: number;
  content_hash: string;
  outcome: string;
  /** Hash of what else the change made; "" for changes below its fleet level. Missing in stores below that level. */
  state_hash?: string;
  /** "" for changes below its fleet level. Missing in stores below that level. */
  client?: string;
  /** As `client`: "" for changes without an agent. */
  agent?: string;
}

/** Reports whether what a change made had another state than this one. A change without a state hash does not say. */
export function madeOther({ state_hash = "" }: ChangeRow, state: string): boolean {
  return state_hash !== "" && state_hash !== state;
}

/** Returns a row of the change table as a change. */
export function changeOf(row: ChangeRow): Change {
  return {
    seq: row.seq,
    epoch: row.epoch,
    timeMs: row.log_time,
    caller: row.caller,
    via: row.via,
    ...(row.client ? { client: row.client } : {}),
    ...(row.agent ? { agent: row.agent } : {}),
    operation: row.operation,
    target: row.target,
    version: row.version,
    contentHash: row.content_hash,
    outcome: row.outcome,
  };
}
