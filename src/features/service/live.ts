// What only the process of a member knows of its starts, as the node that was asked finds it: here, or by asking the
// member.

import { ServiceKey } from "../../operation/services.ts";
import type { ServiceRow } from "./rows.ts";

/** The end of an output, and how many bytes it has in all. */
export interface Tail {
  text: string;
  bytes: number;
}

/** Returns the output of the last start of a copy; undefined where its member does not say. */
export const SERVICE_OUTPUT: ServiceKey<(row: ServiceRow, signal: AbortSignal) => Promise<Tail | undefined>> =
  new ServiceKey("the output of services");
