// The service key of what probes measure: a number that rules of other features go by. Only on the leader, which hears
// the probes of all members.

import { ServiceKey } from "./services.ts";

/** A number that a probe measured; or why there is none now. */
export type Measured = { space: string } & (
  | {
      value: number;
      /** When it was measured, by the monotonic clock of this process, in ms. */
      atMs: number;
    }
  | { why: string }
);

/** Returns what a probe measured last; a number that is stale, or that no one can tell, is none. */
export type MeasuredBy = (probe: string) => Measured;

/** What probes measure, as the leader hears it. */
export const MEASURED: ServiceKey<MeasuredBy> = new ServiceKey("what probes measure");
