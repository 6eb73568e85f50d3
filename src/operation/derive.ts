// Derives the parts of the product from the manifests of its features: schema, digest, forks, copies, operations. Each
// function takes the list of features, so that a test can add one.

import type { SettingTable } from "../config/setting.ts";
import { type DigestTable, LOG_TABLES } from "../log/digest.ts";
import { storeLevel } from "../log/level.ts";
import type { AfterChanges } from "../log/log.ts";
import { CONDITIONS, type ConditionTable } from "../observe/conditions.ts";
import { hasTable, type Migration, type Schema, type Writer } from "../store/store.ts";
import type { AgentTable } from "./agents.ts";
import type { DeclaredKind } from "./declared-kind.ts";
import type { Operation } from "./define.ts";
import type { Expiring } from "./expiring.ts";
import type { Feature, FeatureTable } from "./feature.ts";
import type { OwnEventKind } from "./own-events.ts";
import type { SearchSource } from "./search-source.ts";
import { Services } from "./services.ts";
import type { ChangeRules } from "./viewer.ts";

/**
 * Returns the migrations of a full member's store, in order. Throws an Error if their ids are not 1, 2, 3 …, or if a
 * level is lower than the one before.
 */
export function migrationsOf(features: readonly Feature[]): Migration[] {
  const all = features
    .flatMap(({ name, migrations = [] }) => migrations.map((migration) => ({ ...migration, name })))
    .sort((a, b) => a.id - b.id);
  for (const [index, { id, level, name }] of all.entries()) {
    if (id !== index + 1) throw new Error(`migration ${id} of ${name} should have the id ${index + 1}`);
    if (level < (all[index - 1]?.level ?? 1)) throw new Error(`migration ${id} of ${name} has too low a level`);
  }
  return all;
}

/** Returns the schema of a full member's store: the migrations of its fleet level. */
export function schemaOf(features: readonly Feature[]): Schema {
  return { migrations: migrationsOf(features), level: storeLevel };
}

/** Returns the tables of a digest, which are equal on every full member: those of the log and the replicated ones. */
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

/** Returns the tables that are empty at the start of a new history. */
export function clearedByFork(features: readonly Feature[]): string[] {
  return tablesOf(features)
    .filter(({ fork }) => fork === "clear")
    .map(({ name }) => name);
}

/** Returns a function that removes this node's own rows from a copy of the store for another member. */
export function cleanCopyOf(features: readonly Feature[]): (tx: Writer) => void {
  const own = tablesOf(features).filter(({ scope }) => scope === "node");
  return (tx) => {
    for (const { name } of own) if (hasTable(tx, name)) tx.run(`DELETE FROM ${name}`);
  };
}

/** Returns all operations of a node. Without a node: those of the build, which can be listed but not run. */
export function operationsOf(features: readonly Feature[], node: Services = new Services()): Operation[] {
  return features.flatMap((feature) => feature.operations?.(node) ?? []);
}

/** Returns the agents of the fleet. Throws an Error if two features have them. */
export function agentTableOf(features: readonly Feature[]): AgentTable | undefined {
  const [table, ...others] = features.flatMap(({ agents }) => (agents === undefined ? [] : [agents]));
  if (others.length > 0) throw new Error("two features have agents");
  return table;
}

/** Returns the rules about changes of rows that not everyone in their space may read. */
export function changeRulesOf(features: readonly Feature[]): ChangeRules {
  return new Map(
    features.flatMap(({ changes }) => {
      const rule = changes?.mayRead;
      return rule === undefined ? [] : (changes?.operations ?? []).map((operation) => [operation, rule] as const);
    }),
  );
}

/** Returns the expiring rows of the features. */
export function expiringOf(features: readonly Feature[]): Expiring[] {
  return features.flatMap(({ expires = [] }) => expires);
}

/** Returns the kinds of declarations. Throws an Error if two have one name or place. */
export function declaredKindsOf(features: readonly Feature[]): DeclaredKind[] {
  const kinds = features.flatMap(({ declares = [] }) => declares);
  for (const by of ["kind", "place"] as const)
    if (new Set(kinds.map((each) => each[by])).size !== kinds.length)
      throw new Error(`two declarations have one ${by}`);
  return kinds;
}

/** Returns what can be searched. Throws an Error if two sources have the same kind. */
export function searchedOf(features: readonly Feature[]): SearchSource[] {
  const sources = features.flatMap(({ searched = [] }) => searched);
  if (new Set(sources.map(({ kind }) => kind)).size !== sources.length)
    throw new Error("two sources have the same kind");
  return sources;
}

/** Returns the setting tables of the features. */
export function settingTablesOf(features: readonly Feature[]): SettingTable[] {
  return features.flatMap(({ settings }) => (settings === undefined ? [] : [settings]));
}

/** Returns every health condition: the node's and those of the features. Throws an Error if two have the same code. */
export function conditionsOf(features: readonly Feature[]): ConditionTable {
  const all = [CONDITIONS, ...features.map(({ conditions = {} }) => conditions)].flatMap((table) =>
    Object.entries(table),
  );
  const table = Object.fromEntries(all);
  if (Object.keys(table).length !== all.length) throw new Error("two conditions have the same code");
  return table;
}

/**
 * Returns the types of events of the features. Throws an Error for a name that is invalid or taken, and for two types
 * of one change.
 */
export function eventTypesOf(features: readonly Feature[]): ReadonlyMap<string, OwnEventKind> {
  const types = new Map<string, OwnEventKind>();
  const taken = new Set<string>();
  for (const [type, kind] of features.flatMap(({ events = {} }) => Object.entries(events))) {
    if (!/^cairn\.[a-z]+\.[a-z]+$/.test(type)) throw new Error(`${type} is not cairn.<noun>.<verb>`);
    if (types.has(type)) throw new Error(`the event type ${type} is declared twice`);
    types.set(type, kind);
    for (const change of kind.operations.flatMap((name) => (kind.outcomes ?? ["*"]).map((how) => `${name} ${how}`))) {
      if (taken.has(change)) throw new Error(`${change} has two types of events`);
      taken.add(change);
    }
  }
  return types;
}

/** Returns what publishes the events of the features. Throws an Error if two features do. */
export function ownEventsOf(features: readonly Feature[]): AfterChanges | undefined {
  const [publishes, ...others] = features.flatMap((feature) => feature.publishes ?? []);
  if (others.length > 0) throw new Error("two features publish events of Cairn");
  return publishes?.(eventTypesOf(features), changeRulesOf(features));
}

function tablesOf(features: readonly Feature[]): FeatureTable[] {
  return features.flatMap(({ tables = [] }) => tables);
}
