// Every write that a log may hold, whichever part of the product brings it: what apply must know, in a running node and where a stopped node's log is read.

import { contextOperations } from "../features/context/index.ts";
import { fleetCommands } from "../fleet/index.ts";
import type { Operation } from "../operation/define.ts";

/** Operations that are commands of the log; reads among them do no harm. */
export const WRITES: readonly Operation[] = [...contextOperations, ...fleetCommands];
