// From which level on lines are written, for the whole process and for single parts of it. Changed at run time by the
// operator; a restart begins with the settings again.

/** The levels, from the most lines to the fewest. */
export const LEVELS = ["debug", "info", "warning", "error"] as const;
/** One of them. */
export type Level = (typeof LEVELS)[number];

/** Parts of the process come from its code; a name beyond this many is not listed. */
const MAX_PARTS = 200;

let processLevel: Level = "info";
const ofParts = new Map<string, Level>();
const known = new Set<string>();

/** Notes that a part of the process writes lines. */
export function knowPart(part: string): void {
  if (known.size < MAX_PARTS) known.add(part);
}

/** Returns the names of the parts that write lines, sorted. */
export function knownParts(): string[] {
  return [...known].sort();
}

/** Reports whether a line is written. */
export function isWritten(part: string, level: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(ofParts.get(part) ?? processLevel);
}

/** Returns the level of the process, and those of the parts that have one of their own. */
export function logLevels(): { level: Level; parts: ReadonlyMap<string, Level> } {
  return { level: processLevel, parts: new Map(ofParts) };
}

/** Sets the level of the process; parts with a level of their own keep it. */
export function setProcessLevel(level: Level): void {
  processLevel = level;
}

/** Sets the level of one part; undefined: that of the process again. */
export function setPartLevel(part: string, level: Level | undefined): void {
  if (level === undefined) ofParts.delete(part);
  else ofParts.set(part, level);
}
