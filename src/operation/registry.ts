// All operations of this build by name, with their JSON Schemas made once.
import type { Operation } from "./define.ts";
export interface Entry {
  operation: Operation;
  /** JSON Schema 2020-12 of the arguments, common arguments included; unknown properties are refused. */
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
}
export interface Registry {
  get(name: string): Entry | undefined;
  /** Sorted by name. */
  list(): readonly Entry[];
}
