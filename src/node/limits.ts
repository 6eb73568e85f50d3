// The limits on callers, from the settings.

import type { Settings } from "../config/settings.ts";
import type { CallerLimits } from "../operation/caller-limits.ts";

/** Returns the limits on calls. */
export function callerLimitsOf(settings: Settings): CallerLimits {
  return {
    requestsPerMinute: settings["limits.requests_per_minute"],
    streamsPerCaller: settings["limits.streams_per_caller"],
  };
}
