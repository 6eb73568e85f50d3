// What the product derives from the manifests of its features: schema, digest, forks, copies, writes. Each function takes
// the list of features, so that a test can add one.

import type { SettingTable } from "../config/setting.ts";
import { type DigestTable, LOG_TABLES } from "../log/digest.ts";
import { CONDITIONS, type ConditionTable } from "../observe/conditions.ts";
import type { Migration, Writer } from "../store/store.ts";
import type { Operation } from "./define.ts";
import type { Feature, FeatureTable } from "./feature.ts";
import { Services } from "./services.ts";

/** All migrations of a full member's store, in order. Throws an Error where ids are not 1, 2, 3 … */
export function migrationsOf(features: readonly Feature[]): Migration[] {
  const all = features
    .flatMap(({ name, migrations = [] }) => migrations.map(({ id, sql }) => ({ id, name, sql })))
    .sort((a, b) => a.id - b.id);
  for (const [index, { id, name }] of all.entries())
    if (id !== index + 1) throw new Error(`migration ${id} of ${name} should have the id ${index + 1}`);
  return all;
}

/** What digests cover that must be equal on every full member: the log's own tables and the replicated ones of features. */
export function digestTablesOf(features: readonly Feature[]): DigestTable[] {
  const replicated = tablesOf(features).filter(({ scope }) => scope === "replicated");
  return [
    ...LOG_TABLES,
    ...replicated.map(({ name, sql, decode }) => ({
      name,
      sql: sql ?? `SELECT * FROM ${name}`,
      ...(decode === undefined ? {} : { decode }),
    })),
  ];
}

/** Tables that a new history begins empty. */
export function clearedByFork(features: readonly Feature[]): string[] {
  return tablesOf(features)
    .filter(({ fork }) => fork === "clear")
    .map(({ name }) => name);
}

/** Removes from a copy for another member what is this node's own. */
export function cleanCopyOf(features: readonly Feature[]): (tx: Writer) => void {
  const own = tablesOf(features).filter(({ scope }) => scope === "node");
  return (tx) => {
    for (const { name } of own) tx.run(`DELETE FROM ${name}`);
  };
}

/** All operations over a node; without one, those of the build, to be listed and not run. */
export function operationsOf(features: readonly Feature[], node: Services = new Services()): Operation[] {
  return features.flatMap((feature) => feature.operations?.(node) ?? []);
}

/** The tables of the features' own settings. */
export function settingTablesOf(features: readonly Feature[]): SettingTable[] {
  return features.flatMap(({ settings }) => (settings === undefined ? [] : [settings]));
}

/** Every health condition: the node's and those of the features. Throws an Error where two have one code. */
export function conditionsOf(features: readonly Feature[]): ConditionTable {
  const all = [CONDITIONS, ...features.map(({ conditions = {} }) => conditions)].flatMap((table) =>
    Object.entries(table),
  );
  const table = Object.fromEntries(all);
  if (Object.keys(table).length !== all.length) throw new Error("two conditions have one code");
  return table;
}

/** Types of the events that features publish, with what each says. Throws an Error for a name that is none or taken. */
export function eventTypesOf(features: readonly Feature[]): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const [type, what] of features.flatMap(({ events = {} }) => Object.entries(events))) {
    if (!/^cairn\.[a-z]+\.[a-z]+$/.test(type)) throw new Error(`${type} is not cairn.<noun>.<verb>`);
    if (types.has(type)) throw new Error(`the event type ${type} is declared twice`);
    types.set(type, what);
  }
  return types;
}

function tablesOf(features: readonly Feature[]): FeatureTable[] {
  return features.flatMap(({ tables = [] }) => tables);
}
