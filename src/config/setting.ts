// The rows of setting tables, and the types of their values. settings.ts is the table of the node; features have tables
// of their own in their manifests.

import type { Shape } from "./shapes.ts";

/**
 * How a value is parsed and checked. `bytes` also accepts the endings KiB, MiB and GiB; a `path` becomes absolute, from
 * the folder in which the process was started.
 */
export type Kind = "text" | "path" | "list" | "flag" | "count" | "bytes" | "choice";

/** One setting in its table. */
export interface Row<K extends Kind, Default> {
  kind: K;
  /** `undefined` means: not set. */
  default: Default;
  /** One sentence for --help and docs/settings.md, units included. */
  help: string;
  /** Placeholder of the value in --help. */
  placeholder?: string;
  choices?: readonly string[];
  /** Bounds of counts and bytes, inclusive; `max` of a list: how many texts it may have. */
  min?: number;
  max?: number;
  /** Format of a text, or of each text of a list. */
  shape?: Shape;
  /** A setting of the whole fleet, which its log has: that of a node is only what a new fleet begins with. */
  fleet?: true;
}

/** A text; `undefined`: not set. */
export const text = <D extends string | undefined>(value: D, placeholder: string, help: string, shape?: Shape) =>
  ({ kind: "text", default: value, placeholder, help, ...(shape && { shape }) }) satisfies Row<"text", D>;
/** Path of a file or folder; not set by default. */
export const path = (placeholder: string, help: string) =>
  ({ kind: "path", default: undefined, placeholder, help }) satisfies Row<"path", undefined>;
/** Texts separated by commas. */
export const list = (placeholder: string, help: string, shape?: Shape) =>
  ({ kind: "list", default: [] as readonly string[], placeholder, help, ...(shape && { shape }) }) satisfies Row<
    "list",
    readonly string[]
  >;
/** On or off. */
export const flag = (help: string) =>
  ({ kind: "flag", default: false as boolean, help }) satisfies Row<"flag", boolean>;
/** A number of bytes. */
export const bytes = (value: number, bounds: { min: number; max: number }, help: string) =>
  ({ kind: "bytes", default: value, placeholder: "BYTES", help, ...bounds }) satisfies Row<"bytes", number>;
/** A whole number. */
export const count = (value: number, bounds: { min: number; max: number }, help: string) =>
  ({ kind: "count", default: value, placeholder: "N", help, ...bounds }) satisfies Row<"count", number>;
/** One of a few words. */
export const choice = <const C extends readonly string[]>(choices: C, value: C[number], help: string) =>
  ({ kind: "choice", default: value as C[number], choices, placeholder: choices.join("|"), help }) satisfies Row<
    "choice",
    C[number]
  >;

/** Marks a setting of the whole fleet (replication.md 10). */
export const ofFleet = <R extends Row<Kind, unknown>>(row: R) => ({ ...row, fleet: true as const });

/** Returns the help of a setting, with what holds for those of the fleet. */
export function helpOf({ help, fleet }: SettingRow): string {
  return fleet === true ? `${help} Of the fleet: a new one begins with it.` : help;
}

/** Any row, for code that iterates over a table. */
export type SettingRow = Row<Kind, string | number | boolean | readonly string[] | undefined>;

/** Settings by dotted name, such as `access.admins`. */
export type SettingTable = Readonly<Record<string, SettingRow>>;

type Widened<D> = D extends undefined ? string | undefined : D extends string ? (string extends D ? string : D) : D;

/** Values of the settings of a table, by name. */
export type ValuesOf<T extends SettingTable> = {
  readonly [K in keyof T]: T[K]["kind"] extends "text" | "path"
    ? undefined extends T[K]["default"]
      ? string | undefined
      : string
    : Widened<T[K]["default"]>;
};

/** Returns the values of a feature's settings from all loaded ones; a setting that was not loaded has its default. */
export function valuesOf<T extends SettingTable>(table: T, loaded: Readonly<Record<string, unknown>>): ValuesOf<T> {
  const values = Object.entries(table).map(([key, row]) => [
    key,
    Object.hasOwn(loaded, key) ? loaded[key] : row.default,
  ]);
  return Object.fromEntries(values) as ValuesOf<T>;
}

/** `access.admins` → `--access-admins`. */
export function flagOf(key: string): string {
  return `--${key.replaceAll(/[._]/g, "-")}`;
}

/** `access.admins` → `CAIRN_ACCESS_ADMINS`. */
export function envOf(key: string): string {
  return `CAIRN_${key.replaceAll(".", "_").toUpperCase()}`;
}
