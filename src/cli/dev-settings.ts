// What a development node does not use of its settings: it has no connection to anything outside of its machine.

import type { Loaded } from "../config/load.ts";
import type { SettingValue } from "../config/parse.ts";
import { SETTING_ROWS } from "../features/index.ts";

/** Settings that name a service outside of the process. */
const SERVICE_SETTINGS = new Set([
  ...["process.chat_url", "search.embeddings_url", "events.forward_to", "events.nats_url"],
]);

/** Reports whether a setting is of the way out of a node, or of what only goes that way. */
export function isOutboundSetting(key: string): boolean {
  return key.startsWith("outbound.") || key.startsWith("traces.");
}

/**
 * Returns the settings with which a development node starts, and what is to be said of those that it does not use.
 * Those that a start judges have their defaults again: what is not used need not be complete.
 */
export function withoutServices(loaded: Loaded): { loaded: Loaded; unused: string | undefined } {
  const { origins, all } = loaded;
  const isJudged = (key: string) => key.startsWith("traces.") || key.startsWith("backup.s3_");
  const keepsEvents = all["events.log"] === "jetstream";
  const given = SETTING_ROWS.map(([key]) => key).filter((key) => origins.has(key));
  const keys = given.filter(
    (key) =>
      isOutboundSetting(key) || isJudged(key) || SERVICE_SETTINGS.has(key) || (keepsEvents && key === "events.log"),
  );
  if (keys.length === 0) return { loaded, unused: undefined };
  const defaults = Object.fromEntries(
    SETTING_ROWS.filter(([key]) => isJudged(key)).map(([key, row]): [string, SettingValue] => [key, row.default]),
  );
  const events = keepsEvents ? "; it keeps its events itself" : "";
  return {
    loaded: { ...loaded, settings: { ...loaded.settings, ...defaults }, all: { ...all, ...defaults } },
    unused: `a development node has no outbound connection, so it does not use ${keys.join(", ")}${events}; cairn serve does, and so does npm start`,
  };
}
