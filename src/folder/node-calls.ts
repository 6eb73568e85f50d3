// What syncs and imports ask of a node. Commands give it to them.

/** Calls of one node or fleet. */
export interface NodeCalls {
  /** Runs an operation. Reads include what was written by earlier calls. Rejects with the node's Fault. */
  ask(operation: string, input: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  /** The position of the newest answer; "" before the first. */
  position(): string;
}
