// One raw value (text of a flag or variable, or a TOML value) to the value of its setting, or a Fault that says where it came from.

import { Fault } from "../lib/fault.ts";
import type { SettingRow } from "./setting.ts";

export type SettingValue = string | number | boolean | readonly string[] | undefined;

/** Parses `raw`; `origin` names its place for the message, such as `--tags` or `CAIRN_TAGS`. Throws Fault `config_invalid`. */
export function parseSetting(key: string, row: SettingRow, raw: unknown, origin: string): SettingValue {
  const refuse = (wanted: string, value: unknown = raw): Fault =>
    new Fault("config_invalid", `Setting ${key} from ${origin} should be ${wanted}, and is ${shown(value)}`, {
      hint: `Change ${origin}: ${row.help}`,
    });
  const shaped = (text: string): string => {
    if (row.shape !== undefined && !row.shape.fits(text)) throw refuse(row.shape.wanted, text);
    return text;
  };
  switch (row.kind) {
    case "text":
      if (typeof raw !== "string" || raw.trim() === "" || raw.includes("\0")) throw refuse("a text that is not empty");
      return shaped(raw.trim());
    case "list": {
      const items = typeof raw === "string" ? raw.split(",") : Array.isArray(raw) ? raw : undefined;
      if (items === undefined || items.some((item) => typeof item !== "string")) throw refuse("a list of texts");
      return items
        .map((item) => String(item).trim())
        .filter((item) => item !== "")
        .map(shaped);
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
    case "count":
    case "bytes": {
      const count = row.kind === "bytes" ? byteCount(raw) : wholeNumber(raw);
      const least = row.min ?? 0;
      const most = row.max ?? Number.MAX_SAFE_INTEGER;
      const wanted = `a ${row.kind === "bytes" ? "number of bytes" : "whole number"} from ${least} to ${most}`;
      if (count === undefined || count < least || count > most) throw refuse(wanted);
      return count;
    }
  }
}

/** The value for a message: without a user and password that stand in a URL, and not at any length. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.slice(0, 300).replaceAll(/\/\/[^/"]*@/g, "//…@");
}

function wholeNumber(raw: unknown): number | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : undefined;
  return typeof raw === "string" && /^\d{1,12}$/.test(raw.trim()) ? Number(raw) : undefined;
}

function byteCount(raw: unknown): number | undefined {
  const match = typeof raw === "string" ? /^(\d{1,12})(KiB|MiB|GiB)$/.exec(raw.trim()) : null;
  if (match === null) return wholeNumber(raw);
  return Number(match[1]) * { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[match[2] as "KiB" | "MiB" | "GiB"];
}
