// Raises the condition `fleet_settings_differ` while a setting that was given to this node is not that of its fleet:
// the node does not follow it (replication.md 10).

import type { Loaded } from "../config/load.ts";
import type { Changes } from "../log/changes.ts";
import { readMeta } from "../log/meta.ts";
import type { Conditions } from "../observe/conditions.ts";
import { FLEET_SETTINGS, settingText, storedFleetSettings } from "../operation/fleet-settings.ts";
import type { Reader } from "../store/store.ts";

export interface SettingsWatchOptions extends Pick<Loaded, "settings" | "origins"> {
  reader: Reader;
  changes: Changes;
  conditions: Conditions;
}

/** Watches from now on. Returns the function that ends it. */
export function watchFleetSettings({ reader, changes, ...options }: SettingsWatchOptions): () => void {
  let seen: string | undefined;
  const check = () => {
    const text = readMeta(reader, "fleet_settings");
    if (text === seen) return;
    seen = text;
    const differing = differences({ reader, ...options });
    if (differing.length === 0) options.conditions.clear("fleet_settings_differ");
    else options.conditions.raise("fleet_settings_differ", differing.join("; "));
  };
  check();
  return changes.onApplied(check);
}

/** Returns each difference in words. A value that was not given to this node, but is a default, does not differ. */
function differences({ settings, origins, reader }: Omit<SettingsWatchOptions, "changes" | "conditions">): string[] {
  const stored = storedFleetSettings(reader);
  return FLEET_SETTINGS.flatMap((key) => {
    const [fleet, own, origin] = [stored[key], settingText(settings[key]), origins.get(key)];
    if (fleet === undefined || origin === undefined || settingText(fleet) === own) return [];
    return `${key} is ${own || "empty"} on this node (${origin}) and ${settingText(fleet) || "empty"} in the fleet`;
  });
}
