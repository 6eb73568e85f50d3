// The name of a scheduled backup: node, maker, time and position. A node removes only backups of its own maker id.

/** `cairn-<hostname>-<maker>-<UTC time>-<epoch>-<seq>`. */
const NAME = /^cairn-([a-z0-9][a-z0-9-]*)-([0-9a-f]{8})-(\d{8}T\d{6}Z)-([0-9a-f]{10}-\d+)$/;

/** A parsed name. */
export interface BackupName {
  name: string;
  /** Eight random hex digits of the data folder that made it. */
  maker: string;
  /** When it was made: Unix time in ms, whole seconds. */
  atMs: number;
  position: string;
}

/** Returns the name of a new backup. */
export function nameOf(made: { hostname: string; maker: string; atMs: number; position: string }): string {
  const time = new Date(made.atMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return `cairn-${made.hostname}-${made.maker}-${time}-${made.position}`;
}

/** Parses a name. Returns undefined for anything that is not the name of a backup. */
export function parseName(name: string): BackupName | undefined {
  const [, , maker = "", time = "", position = ""] = NAME.exec(name) ?? [];
  const atMs = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  return Number.isNaN(atMs) ? undefined : { name, maker, atMs, position };
}

/** Returns the names by time, newest first. */
export function newestFirst(names: readonly BackupName[]): BackupName[] {
  return [...names].sort((a, b) => b.atMs - a.atMs || b.name.localeCompare(a.name));
}
