// The default limits of writes, for tests that need no settings.

import type { WriteLimits } from "../../src/operation/define.ts";

/** The limits where nothing is set. */
export const DEFAULT_WRITE_LIMITS: WriteLimits = {
  maxDocumentBytes: 1024 * 1024,
  history: { maxVersions: 100, maxDays: 0, spaces: {} },
  quota: { callerBytes: 1024 ** 3, spaceBytes: 4 * 1024 ** 3 },
};
