// Scenarios of what disks, clocks and builds do to a fleet.

import type { Scenario } from "../scenario.ts";
import { foldersExchanged, foldersLost, foldersOld } from "./folders-gone.ts";

export const DISK_SCENARIOS: readonly Scenario[] = [foldersLost, foldersOld, foldersExchanged];
