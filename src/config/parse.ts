// One raw value (text of a flag or variable, or a TOML value) to the value of its setting, or a Fault that says where it came from.

import { Fault } from "../lib/fault.ts";
import type { SettingKey, SettingRow } from "./settings.ts";

export type SettingValue = string | number | boolean | readonly string[] | undefined;

/** Parses `raw`; `origin` names its place for the message, such as `--tags` or `CAIRN_TAGS`. Throws Fault `config_invalid`. */
export function parseSetting(key: SettingKey, row: SettingRow, raw: unknown, origin: string): SettingValue {
  const refuse = (wanted: string): Fault =>
    new Fault("config_invalid", `Setting ${key} from ${origin} should be ${wanted}, and is ${JSON.stringify(raw)}`, {
      hint: `Change ${origin}: ${row.help}`,
    });
  switch (row.kind) {
    case "text":
      if (typeof raw !== "string" || raw.trim() === "" || raw.includes("\0")) throw refuse("a text that is not empty");
      return raw.trim();
    case "list": {
      const items = typeof raw === "string" ? raw.split(",") : Array.isArray(raw) ? raw : undefined;
      if (items === undefined || items.some((item) => typeof item !== "string")) throw refuse("a list of texts");
      return items.map((item) => String(item).trim()).filter((item) => item !== "");
    }
    case "flag":
      if (raw === true || raw === "true" || raw === "1") return true;
      if (raw === false || raw === "false" || raw === "0") return false;
      throw refuse("true or false");
    case "choice": {
      const choices = row.choices ?? [];
      if (typeof raw !== "string" || !choices.includes(raw)) throw refuse(`one of ${choices.join(", ")}`);
      return raw;
    }
    case "bytes": {
      const count = byteCount(raw);
      const least = row.minBytes ?? 0;
      const most = row.maxBytes ?? Number.MAX_SAFE_INTEGER;
      if (count === undefined || count < least || count > most)
        throw refuse(`a number of bytes from ${least} to ${most}`);
      return count;
    }
  }
}

function byteCount(raw: unknown): number | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : undefined;
  const match = typeof raw === "string" ? /^(\d{1,12})(KiB|MiB)?$/.exec(raw.trim()) : null;
  if (match === null) return undefined;
  const unit = match[2] === "MiB" ? 1024 * 1024 : match[2] === "KiB" ? 1024 : 1;
  return Number(match[1]) * unit;
}
