// The output of a job that runs, as the node that was asked finds it: here, or by asking the member that runs it.

import { ServiceKey } from "../../operation/services.ts";
import type { JobHead } from "./rows.ts";

/** The end of an output, and how many bytes it has in all. */
export interface Tail {
  text: string;
  bytes: number;
}

/** Returns the output of a job that runs; undefined where its member does not say. */
export const LIVE_OUTPUT: ServiceKey<(job: JobHead, signal: AbortSignal) => Promise<Tail | undefined>> = new ServiceKey(
  "the output of jobs that run",
);
