// What a scheduled backup is called: the node's name, who made it, when, and at which position. Who made it decides who may delete it.

/** `cairn-<hostname>-<maker>-<UTC time>-<epoch>-<seq>`. */
const NAME = /^cairn-([a-z0-9][a-z0-9-]*)-([0-9a-f]{8})-(\d{8}T\d{6}Z)-([0-9a-f]{10}-\d+)$/;

/** A name of a backup, read. */
export interface BackupName {
  name: string;
  /** Eight hex digits that one data folder has drawn. */
  maker: string;
  /** When it was made, Unix milliseconds, whole seconds. */
  atMs: number;
  position: string;
}

/** The name of a new backup. */
export function nameOf(made: { hostname: string; maker: string; atMs: number; position: string }): string {
  const time = new Date(made.atMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return `cairn-${made.hostname}-${made.maker}-${time}-${made.position}`;
}

/** What a name says, or undefined for anything that is no name of a backup. */
export function parseName(name: string): BackupName | undefined {
  const [, , maker = "", time = "", position = ""] = NAME.exec(name) ?? [];
  const atMs = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  return Number.isNaN(atMs) ? undefined : { name, maker, atMs, position };
}

/** By time, the newest first. */
export function newestFirst(names: readonly BackupName[]): BackupName[] {
  return [...names].sort((a, b) => b.atMs - a.atMs || b.name.localeCompare(a.name));
}
