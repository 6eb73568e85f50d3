// The limits on callers and writes, from the settings.

import type { Settings } from "../config/settings.ts";
import { Fault } from "../lib/fault.ts";
import type { CallerLimits } from "../operation/caller-limits.ts";
import type { HistoryLimits, WriteLimits } from "../operation/define.ts";

/** Returns the limits on writes. Fault `config_invalid` for a `history.spaces` that cannot be read. */
export function writeLimitsOf(settings: Settings): WriteLimits {
  const maxVersions = settings["history.max_versions"];
  const maxDays = settings["history.max_days"];
  const spaces = settings["history.spaces"].map((entry) => spaceLimits(entry, maxDays));
  return {
    maxDocumentBytes: settings["context.max_bytes"],
    history: { maxVersions, maxDays, spaces: Object.fromEntries(spaces) },
    quota: { callerBytes: settings["quota.caller_bytes"], spaceBytes: settings["quota.space_bytes"] },
  };
}

export function callerLimitsOf(settings: Settings): CallerLimits {
  return {
    requestsPerMinute: settings["limits.requests_per_minute"],
    streamsPerCaller: settings["limits.streams_per_caller"],
  };
}

/** Parses `logs=10/30`: 10 versions and 30 days; without days those of `history.max_days`. */
function spaceLimits(entry: string, maxDays: number): [string, HistoryLimits] {
  const match = /^([A-Za-z0-9._~:@-]{1,256})=(\d{1,7})(?:\/(\d{1,5}))?$/.exec(entry);
  if (match?.[1] === undefined) {
    throw new Fault("config_invalid", `Setting history.spaces has the entry ${JSON.stringify(entry)}`, {
      hint: "Write SPACE=VERSIONS or SPACE=VERSIONS/DAYS, such as logs=10/30; 0 keeps all.",
    });
  }
  return [match[1], { maxVersions: Number(match[2]), maxDays: match[3] === undefined ? maxDays : Number(match[3]) }];
}
