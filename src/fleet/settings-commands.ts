// fleet_settings and fleet_settings_set: the limits that shape the replicated state, kept in the log (replication.md
// 10). Also writes the first values, when a fleet begins or its level is raised. Their use is up to the writes.

import { z } from "zod";
import type { SettingValue } from "../config/parse.ts";
import { SETTINGS } from "../config/settings.ts";
import { levelOf } from "../log/level.ts";
import type { Changed } from "../log/log.ts";
import { writeMeta } from "../log/meta.ts";
import { type ReadOperation, read, write } from "../operation/define.ts";
import {
  FLEET_SETTINGS,
  FLEET_SETTINGS_LEVEL,
  MAX_SPACE_LIMITS,
  ownFleetSettings,
  parseFleetSetting,
  settingText,
  storedFleetSettings,
} from "../operation/fleet-settings.ts";
import { NODE } from "../operation/node-parts.ts";
import type { Services } from "../operation/services.ts";
import type { Writer } from "../store/store.ts";
import { settingState } from "./row-states.ts";

const name = z.enum(FLEET_SETTINGS);
const texts = z.array(z.string().max(300)).max(MAX_SPACE_LIMITS);
/** Longest text of a value, in characters. */
const MAX_VALUE = 65_536;
/** Longest value that a change shows whole, in characters. */
const SHOWN = 256;

/** The values with which a fleet begins, as a command carries them. */
export const firstSettings = z.partialRecord(
  name,
  z.union([z.number().int().min(0), texts, z.string().max(MAX_VALUE)]),
);

/** Writes the values that the fleet does not have yet, from its level on. Returns their changes. */
export function addSettings(tx: Writer, values: z.output<typeof firstSettings> = {}): Changed[] {
  if (levelOf(tx) < FLEET_SETTINGS_LEVEL) return [];
  const stored = storedFleetSettings(tx);
  const missing = Object.entries(values).filter(([key]) => !Object.hasOwn(stored, key));
  if (missing.length === 0) return [];
  writeSettings(tx, { ...stored, ...Object.fromEntries(missing) });
  return missing.map(([key, value]) => settingChange(key, value));
}

/** Changes one setting of the fleet. */
export const fleetSettingsSet = write({
  name: "fleet_settings_set",
  v: 1,
  level: FLEET_SETTINGS_LEVEL,
  title: "Change a setting of the fleet",
  description:
    "Sets a limit that holds on every node of the fleet: size of documents, history kept, quotas. Lower history " +
    "limits remove older versions for good, within minutes. fleet_settings lists names and values.",
  input: z.object({
    name: name.describe("Which setting, such as history.max_versions."),
    // A number is taken too; models and OpenAPI see one type.
    value: z
      .unknown()
      .refine(
        (value) => typeof value === "number" || (typeof value === "string" && value.length <= MAX_VALUE),
        "no text",
      )
      .meta({ type: "string", maxLength: MAX_VALUE })
      .describe("As on the command line: a number, 1MiB, or a list such as logs=10/30/1,docs=0."),
  }),
  example: { name: "history.max_versions", value: "200" },
  output: z.object({
    name,
    value: z.string(),
    before: z.string().nullable().describe("The value until now; null where the log had none."),
  }),
  access: { verb: "admin", spaces: ["fleet"] },
  hints: { idempotent: true, destructive: true },
  prepare: (input) => ({ name: input.name, value: parseFleetSetting(input.name, input.value) }),
  apply(tx, command) {
    const stored = storedFleetSettings(tx);
    const before = stored[command.name];
    const now = { name: command.name, value: settingText(command.value) };
    const output = { ...now, before: before === undefined ? null : settingText(before) };
    if (output.before === now.value) return { output, changes: [] };
    writeSettings(tx, { ...stored, [command.name]: command.value });
    return { output, changes: [settingChange(command.name, command.value)] };
  },
});

/** Rows are equal on every node, whatever the order in which settings were written. */
function writeSettings(tx: Writer, values: Readonly<Record<string, SettingValue>>): void {
  const sorted = Object.keys(values).sort();
  writeMeta(tx, { fleet_settings: JSON.stringify(Object.fromEntries(sorted.map((key) => [key, values[key]]))) });
}

function settingChange(key: string, value: SettingValue): Changed {
  const text = settingText(value);
  const outcome = text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text;
  return { target: `fleet/settings/${key}`, version: 0, contentHash: "", outcome, state: settingState(value) };
}

const listed = z.object({
  settings: z.array(
    z.object({
      name,
      value: z.string(),
      stored: z.boolean().describe("false: the log has no value yet, and each node that leads uses its own."),
      help: z.string(),
    }),
  ),
});

/** Returns the operation. */
export function fleetSettings(node: Services): ReadOperation<z.ZodObject, typeof listed> {
  return read({
    name: "fleet_settings",
    title: "Settings of the fleet",
    search: "limits, quotas, how long history is kept",
    description: "Lists the limits that hold on every node of the fleet. fleet_settings_set changes one.",
    input: z.object({}),
    output: listed,
    access: { verb: "read", spaces: ["fleet"] },
    run(reader) {
      const stored = storedFleetSettings(reader);
      const values = { ...ownFleetSettings(node.get(NODE).settings), ...stored };
      const settings = FLEET_SETTINGS.map((key) => ({
        name: key,
        value: settingText(values[key]),
        stored: Object.hasOwn(stored, key),
        help: SETTINGS[key].help,
      }));
      return { settings };
    },
  });
}
