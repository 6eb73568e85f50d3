// Reads the settings of a running node again: what can change while it runs is put in force, the rest is named. What a
// start would refuse changes nothing and raises a condition.

import type { Access } from "../access/access.ts";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import type { SettingValue } from "../config/parse.ts";
import type { Secrets } from "../config/secrets.ts";
import type { Reloaded } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { Conditions } from "../observe/conditions.ts";
import { setProcessLevel } from "../observe/log-levels.ts";
import { checkSettings } from "./check-settings.ts";
import type { PolicyWatch } from "./listeners/policy-watch.ts";

/** Settings that are put in force while the node runs. */
const WHILE_RUNNING = ["log.level", "access.admins", "access.default_role"] as const;

/** What a reload reads and changes. */
export interface ReloadOptions {
  loaded: Loaded;
  /** Reads the settings as the start did; undefined: they were not read from anywhere. */
  loadAgain: (() => Loaded) | undefined;
  /** Names of the settings that are those of the fleet. */
  fleetKeys: ReadonlySet<string>;
  secrets: Secrets;
  env: Environment;
  conditions: Conditions;
  access: Access;
  policy: PolicyWatch | undefined;
  /** Called when rights may have changed. */
  onRights: () => void;
}

/** Reads settings again, each time against those that are in force. */
export class Reloader {
  readonly #options: ReloadOptions;
  /** As the node started, with what was put in force since. */
  #inForce: Readonly<Record<string, SettingValue>>;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#inForce = options.loaded.all;
  }

  /** Throws Fault `config_invalid` or `policy_invalid`, with everything as it was. */
  run(): Reloaded {
    const { conditions, loadAgain, loaded, policy } = this.#options;
    try {
      const again = loadAgain?.() ?? loaded;
      const warnings = checkSettings(again.settings, this.#options.secrets, this.#options.env);
      const report = this.#use(again, [...again.warnings, ...warnings]);
      policy?.reload();
      conditions.clear("settings_invalid");
      if (report.restart.length === 0) conditions.clear("restart_needed");
      else conditions.raise("restart_needed", report.restart.join(", "));
      return report;
    } catch (error) {
      conditions.raise("settings_invalid", reasonOf(error));
      throw error;
    }
  }

  #use(again: Loaded, warnings: readonly string[]): Reloaded {
    const { access, fleetKeys, onRights, policy } = this.#options;
    const changed = Object.keys(again.all)
      .filter((key) => textOf(again.all[key]) !== textOf(this.#inForce[key]))
      .sort();
    const applied = WHILE_RUNNING.filter((key) => changed.includes(key));
    const rest = changed.filter((key) => !applied.some((each) => each === key));
    if (applied.includes("log.level")) setProcessLevel(again.settings["log.level"]);
    if (applied.some((key) => key !== "log.level")) {
      access.useSettings({
        defaultRole: again.settings["access.default_role"],
        admins: again.settings["access.admins"],
      });
      onRights();
    }
    const now = applied.map((key): [string, SettingValue] => [key, again.all[key]]);
    this.#inForce = { ...this.#inForce, ...Object.fromEntries(now) };
    return {
      file: again.file ?? null,
      applied: [...applied],
      restart: rest.filter((key) => !fleetKeys.has(key)),
      fleet: rest.filter((key) => fleetKeys.has(key)),
      policy_file: policy !== undefined,
      warnings: [...warnings],
    };
  }
}

function textOf(value: SettingValue): string {
  return JSON.stringify(value) ?? "";
}

/** Returns what is to be logged of a reload that a signal asked for. */
export function reloadLine(run: () => Reloaded): { level: "info" | "error"; text: string } {
  try {
    const { applied, restart } = run();
    const now = applied.length === 0 ? "" : `; in force now: ${applied.join(", ")}`;
    const later = restart.length === 0 ? "" : `; needs a restart: ${restart.join(", ")}`;
    return { level: "info", text: `the settings were read again${now}${later}` };
  } catch (error) {
    const hint = error instanceof Fault && error.hint !== undefined ? ` (${error.hint})` : "";
    return { level: "error", text: `the settings stay as they were: ${reasonOf(error)}${hint}` };
  }
}
