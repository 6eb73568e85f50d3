// The default limits of writes, for tests that need no settings.

import { valuesOf } from "../../src/config/setting.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import type { WriteLimits } from "../../src/operation/define.ts";
import { type FleetSettings, ownFleetSettings } from "../../src/operation/fleet-settings.ts";

/** The limits where nothing is set. */
export const DEFAULT_WRITE_LIMITS: WriteLimits = {
  maxDocumentBytes: 1024 * 1024,
  history: { maxVersions: 100, maxDays: 0, keepHours: 24, spaces: {} },
  maxChanges: 1_000_000,
  quota: { callerBytes: 1024 ** 3, spaceBytes: 4 * 1024 ** 3 },
  maxOutcomeBytes: 512 * 1024 ** 2,
  events: {
    maxBytes: 1024 ** 2,
    keepMs: 24 * 3_600_000,
    keepCount: 1_000_000,
    keepBytes: 1024 ** 3,
    callerBytes: 256 * 1024 ** 2,
    spaceBytes: 512 * 1024 ** 2,
    dedupeSeconds: 3600,
  },
  blobs: {
    maxBytes: 1024 ** 3,
    callerBytes: 8 * 1024 ** 3,
    spaceBytes: 16 * 1024 ** 3,
    copies: 2,
    keepMs: 24 * 3_600_000,
  },
};

/** The settings of a fleet that begins with a node where nothing is set. */
export const DEFAULT_FLEET_SETTINGS: FleetSettings = ownFleetSettings(valuesOf(SETTINGS, {}));
