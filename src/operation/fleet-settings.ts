// The settings of a fleet: limits that shape the replicated state (replication.md 10). They are a row of the log, equal
// on every full member; the setting of a node is what a fleet begins with. fleet/settings-commands.ts changes them.

import { parseSetting, type SettingValue } from "../config/parse.ts";
import { SETTINGS, type Settings } from "../config/settings.ts";
import { Fault } from "../lib/fault.ts";
import { levelOf } from "../log/level.ts";
import { readMeta } from "../log/meta.ts";
import type { Reader } from "../store/store.ts";
import type { EventLimits, HistoryLimits, WriteLimits } from "./define.ts";

/** The fleet level from which on a fleet has these settings. Below it each leader uses those of its node. */
export const FLEET_SETTINGS_LEVEL = 3;

/** Name of a setting of the fleet, such as `history.max_versions`. */
export type FleetSettingKey = {
  [Key in keyof typeof SETTINGS]: (typeof SETTINGS)[Key] extends { fleet: true } ? Key : never;
}[keyof typeof SETTINGS];

/** Values of the settings of a fleet, by name. */
export type FleetSettings = Pick<Settings, FleetSettingKey>;

/** The names, in the order of the table of settings. */
export const FLEET_SETTINGS = Object.entries(SETTINGS).flatMap(([key, row]) =>
  "fleet" in row ? [key as FleetSettingKey] : [],
);

/** Most entries of `history.spaces`. */
export const MAX_SPACE_LIMITS = 1000;

/** Returns the values of a node, with which a fleet begins. */
export function ownFleetSettings(settings: FleetSettings): FleetSettings {
  return Object.fromEntries(FLEET_SETTINGS.map((key) => [key, settings[key]])) as FleetSettings;
}

/** Returns the values that the log has; none before the fleet's level, or where no fleet has begun. */
export function storedFleetSettings(reader: Reader): Partial<FleetSettings> {
  return parseStored(readMeta(reader, "fleet_settings"));
}

function parseStored(text: string | undefined): Partial<FleetSettings> {
  return text === undefined ? {} : JSON.parse(text);
}

/** Returns the value of a setting as a call gives it. Throws `invalid_input`. */
export function parseFleetSetting(key: FleetSettingKey, raw: unknown): SettingValue {
  const defaults = Object.fromEntries(FLEET_SETTINGS.map((each) => [each, SETTINGS[each].default])) as FleetSettings;
  try {
    const value = parseSetting(key, SETTINGS[key], raw, undefined);
    writeLimitsOf({ ...defaults, [key]: value });
    return value;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw error.retold(error.message, { code: "invalid_input", details: { field: "value" } });
  }
}

/** Returns a value as text, as the settings file and the command line write it. */
export function settingText(value: SettingValue): string {
  return Array.isArray(value) ? value.join(",") : String(value);
}

/** Returns the values of the log that are not as built in, as texts by name. */
export function changedFleetSettings(reader: Reader): Record<string, string> {
  const stored = Object.entries(storedFleetSettings(reader));
  const texts = stored.map(([key, value]): [string, string] => [key, settingText(value)]);
  return Object.fromEntries(
    texts.filter(([key, text]) => text !== settingText(SETTINGS[key as FleetSettingKey]?.default)),
  );
}

/**
 * Returns the limits on writes by these values. Fault `config_invalid` for entries of `history.spaces` that cannot be
 * read.
 */
export function writeLimitsOf(settings: FleetSettings): WriteLimits {
  const maxVersions = settings["history.max_versions"];
  const maxDays = settings["history.max_days"];
  const keepHours = settings["history.keep_hours"];
  const entries = settings["history.spaces"];
  if (entries.length > MAX_SPACE_LIMITS) {
    throw new Fault(
      "config_invalid",
      `\`history.spaces\` must have at most ${MAX_SPACE_LIMITS} entries, got ${entries.length}`,
      {
        hint: "Give limits of their own only to spaces that need other ones.",
      },
    );
  }
  const spaces = entries.map((entry) => spaceLimits(entry, { maxDays, keepHours }));
  return {
    maxDocumentBytes: settings["context.max_bytes"],
    history: { maxVersions, maxDays, keepHours, spaces: Object.fromEntries(spaces) },
    maxChanges: settings["history.max_changes"],
    quota: { callerBytes: settings["quota.caller_bytes"], spaceBytes: settings["quota.space_bytes"] },
    maxOutcomeBytes: settings["quota.outcome_bytes"],
    events: eventLimits(settings),
    blobs: {
      maxBytes: settings["blobs.max_bytes"],
      callerBytes: settings["blobs.caller_bytes"],
      spaceBytes: settings["blobs.space_bytes"],
      copies: settings["blobs.copies"],
      keepMs: settings["blobs.keep_hours"] * 3_600_000,
    },
  };
}

function eventLimits(settings: FleetSettings): EventLimits {
  return {
    maxBytes: settings["events.max_bytes"],
    keepMs: settings["events.keep_hours"] * 3_600_000,
    keepCount: settings["events.keep_count"],
    keepBytes: settings["events.keep_bytes"],
    callerBytes: settings["events.caller_bytes"],
    spaceBytes: settings["events.space_bytes"],
    dedupeSeconds: settings["events.dedupe_seconds"],
    ...natsOf(settings),
  };
}

function natsOf(settings: FleetSettings): Pick<EventLimits, "nats"> {
  const url = settings["events.nats_url"];
  const credentials = settings["events.nats_credentials"];
  const ca = settings["events.nats_ca"];
  if (url === "none") return {};
  const login = credentials === "none" ? undefined : credentials;
  return {
    nats: {
      url,
      credentials: login,
      ...(ca === "none" ? {} : { ca }),
      replicas: settings["events.nats_replicas"],
      isFirst: settings["events.log"] === "jetstream",
    },
  };
}

/** Parses `logs=10/30/1`: 10 versions, 30 days, one hour. What is left out is as for the other spaces. */
function spaceLimits(entry: string, rest: Omit<HistoryLimits, "maxVersions">): [string, HistoryLimits] {
  const match = /^([A-Za-z0-9._~:@-]{1,256})=(\d{1,7})(?:\/(\d{1,5})(?:\/(\d{1,4}))?)?$/.exec(entry);
  if (match?.[1] === undefined) {
    throw new Fault(
      "config_invalid",
      `\`history.spaces\` must be a list of SPACE=VERSIONS/DAYS/HOURS, got ${JSON.stringify(entry)}`,
      {
        hint: "Write SPACE=VERSIONS, SPACE=VERSIONS/DAYS or SPACE=VERSIONS/DAYS/HOURS, such as logs=10/30/1; 0 keeps all.",
      },
    );
  }
  const [, space, versions, days, hours] = match;
  return [
    space,
    {
      maxVersions: Number(versions),
      maxDays: days === undefined ? rest.maxDays : Number(days),
      keepHours: hours === undefined ? rest.keepHours : Number(hours),
    },
  ];
}

/**
 * Returns the function that returns the limits of the fleet as the store of `reader` has them now: a leader asks it for
 * each write. `own` is used for what the log does not have.
 */
export function fleetLimits(reader: Reader, own: FleetSettings): () => WriteLimits {
  const ofNode = writeLimitsOf(own);
  const ofEarlierLevel = withoutKeepHours(ofNode);
  let text: string | undefined;
  let limits = ofNode;
  return () => {
    const now = readMeta(reader, "fleet_settings");
    if (now === undefined) return levelOf(reader) < FLEET_SETTINGS_LEVEL ? ofEarlierLevel : ofNode;
    if (now === text) return limits;
    limits = writeLimitsOf({ ...own, ...parseStored(now) });
    text = now;
    return limits;
  };
}

/** Members with a build that knows no such hours remove by the other limits alone. */
function withoutKeepHours({ history, ...rest }: WriteLimits): WriteLimits {
  const spaces = Object.entries(history.spaces).map(([space, own]) => [space, { ...own, keepHours: 0 }]);
  return { ...rest, history: { ...history, keepHours: 0, spaces: Object.fromEntries(spaces) } };
}
