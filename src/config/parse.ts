// Parses one raw value (text of a flag or variable, or a TOML value) into the value of its setting.

import { byteCount } from "../lib/byte-size.ts";
import { Fault } from "../lib/fault.ts";
import type { Kind, SettingRow } from "./setting.ts";

/** The value of any setting; undefined: not set. */
export type SettingValue = string | number | boolean | readonly string[] | undefined;

/** Makes the fault that says what was wanted; `value` is the raw value unless a part of it is at fault. */
type Refuse = (wanted: string, value?: unknown) => Fault;
type Parser = (raw: unknown, row: SettingRow, refuse: Refuse) => SettingValue;

const PARSERS: Readonly<Record<Kind, Parser>> = {
  text: parseText,
  path: parseText,
  list: parseList,
  flag: parseFlag,
  choice: parseChoice,
  count: (raw, row, refuse) => inBounds(wholeNumber(raw), "whole number", row, refuse),
  bytes: (raw, row, refuse) => inBounds(bytesOf(raw), "number of bytes", row, refuse),
};

/**
 * Parses `raw` by the kind of its row. `origin` says where it came from, such as `--tags` or `CAIRN_TAGS`; undefined
 * for a value of a call. Throws Fault `config_invalid`.
 */
export function parseSetting(key: string, row: SettingRow, raw: unknown, origin: string | undefined): SettingValue {
  return PARSERS[row.kind](
    raw,
    row,
    (wanted, value = raw) =>
      new Fault(
        "config_invalid",
        `\`${key}\` must be ${wanted}, got ${shown(value)}${origin === undefined ? "" : ` from ${origin}`}`,
        {
          hint: origin === undefined ? row.help : `Correct ${origin}. What it is: ${row.help}`,
        },
      ),
  );
}

function parseText(raw: unknown, row: SettingRow, refuse: Refuse): string {
  if (typeof raw !== "string" || raw.trim() === "" || raw.includes("\0")) throw refuse("a text that is not empty");
  return inShape(raw.trim(), row, refuse);
}

function parseList(raw: unknown, row: SettingRow, refuse: Refuse): readonly string[] {
  const items: unknown = typeof raw === "string" ? raw.split(",") : raw;
  if (!Array.isArray(items) || items.some((item) => typeof item !== "string")) throw refuse("a list of texts");
  const trimmed = items.map((item) => String(item).trim()).filter((item) => item !== "");
  if (row.max !== undefined && trimmed.length > row.max) throw refuse(`a list of at most ${row.max} texts`);
  return trimmed.map((item) => inShape(item, row, refuse));
}

function parseFlag(raw: unknown, _row: SettingRow, refuse: Refuse): boolean {
  if (raw === true || raw === "true" || raw === "1") return true;
  if (raw === false || raw === "false" || raw === "0") return false;
  throw refuse("true or false");
}

function parseChoice(raw: unknown, { choices = [] }: SettingRow, refuse: Refuse): string {
  if (typeof raw !== "string" || !choices.includes(raw)) throw refuse(`one of ${choices.join(", ")}`);
  return raw;
}

function inShape(text: string, { shape }: SettingRow, refuse: Refuse): string {
  if (shape !== undefined && !shape.fits(text)) throw refuse(shape.wanted, shape.shown?.(text) ?? text);
  return text;
}

function inBounds(count: number | undefined, noun: string, row: SettingRow, refuse: Refuse): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = row;
  if (count === undefined || count < min || count > max) throw refuse(`a ${noun} from ${min} to ${max}`);
  return count;
}

/** Returns the value for a message, cut to 300 characters and without the user and password of a URL. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.slice(0, 300).replaceAll(/\/\/[^/"]*@/g, "//…@");
}

function wholeNumber(raw: unknown): number | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : undefined;
  return typeof raw === "string" && /^\d{1,12}$/.test(raw.trim()) ? Number(raw) : undefined;
}

function bytesOf(raw: unknown): number | undefined {
  return typeof raw === "string" ? byteCount(raw) : wholeNumber(raw);
}
