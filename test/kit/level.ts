// Stores as an older build left them, at a lower fleet level.

import { MIGRATIONS } from "../../src/features/index.ts";
import { openHistory } from "../../src/log/history.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { type Reader, Store } from "../../src/store/store.ts";

/** Returns the migrations that a build knows whose highest level this is. */
export function migrationsUpTo(level: number): typeof MIGRATIONS {
  return MIGRATIONS.filter((migration) => migration.level <= level);
}

/** Makes a store in `folder` (`<data>/store`) in which nothing was written, at a fleet level. */
export function makeStoreAt(folder: string, level: number): void {
  const store = Store.open({ folder, migrations: migrationsUpTo(level), log: () => {} });
  openHistory(store);
  store.transaction((tx) => writeMeta(tx, { fleet_level: level }));
  store.close();
}

/** Returns the number of the last migration in a store. */
export function schemaOfStore(reader: Reader): number {
  return reader.get<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
}
