// What the operations on the log of events have in common.

import { z } from "zod";

/** Which log: the replicated one, or a stream of NATS. */
export const logKind = z.enum(["fleet", "jetstream"]);

/** Who moves it. */
export const FLEET_ADMIN = { verb: "admin", spaces: ["fleet"] } as const;
