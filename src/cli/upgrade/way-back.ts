// The way back from a newer version: whether it may raise the level of the state, which the earlier one then does not
// read, the copy that is made before, and when the earlier one must not come back.

import { buildInfo } from "../../config/build-info.ts";
import { stateLevel } from "../../datadir/index.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { KNOWN_LEVEL } from "../../operation/known-level.ts";
import { askNode } from "../client.ts";
import { type Invocation, isSet } from "../command.ts";
import { cell, say } from "../output.ts";
import type { Version } from "./executable.ts";

/** A copy takes longer the larger the store is. */
const COPY_MS = 24 * 3_600_000;

/** A copy of the state from before an upgrade. */
export interface StateCopy {
  folder: string;
  name: string;
}

/** `1.2.0 (4f0c…)`. */
export function nameOf({ version, commit }: Version): string {
  return `${cell(version)} (${cell(commit)})`;
}

/** Reports whether a version may raise a state of this level. One that does not say what it knows may. */
export function mayRaise({ level }: Version, stateNow: number): boolean {
  return level === undefined || level > stateNow;
}

/**
 * Makes a copy of the state where the new version may raise its level, by the node that runs, and says what the way
 * back is. Returns the copy; undefined: none is needed, or no node runs. Fault `unavailable` where it cannot be made.
 */
export async function copyBefore(
  invocation: Invocation,
  { dataDir, to, isRunning }: { dataDir: string; to: Version; isRunning: boolean },
  signal: AbortSignal,
): Promise<StateCopy | undefined> {
  const now = stateLevel(dataDir);
  if (now === undefined || isSet(invocation, "withoutCopy")) return undefined;
  if (!mayRaise(to, now)) {
    say(`no copy of the state is made: both versions know its level ${now}, so going back needs none`);
    return undefined;
  }
  if (!isRunning) {
    say(
      `a start of ${nameOf(to)} may raise the state of ${dataDir} from level ${now}: make a copy before (cairn backup)`,
    );
    return undefined;
  }
  try {
    const { body } = await askNode(invocation, "backup_now", {}, { answerMs: COPY_MS, signal });
    const last = body["last"] as { name: string } | null;
    if (last === null) throw new Fault("internal", "the node names no copy");
    const copy = { folder: String(body["folder"]), name: last.name };
    say(`a copy of the state at level ${now} is in ${copy.folder}/${copy.name}`);
    return copy;
  } catch (cause) {
    signal.throwIfAborted();
    throw new Fault(
      "unavailable",
      `${nameOf(to)} may raise the state from level ${now}, and no copy of it could be made: ${reasonOf(cause)}`,
      {
        hint: "Nothing was changed. See cairn backup list, or give --without-copy: then there may be no way back.",
        cause,
      },
    );
  }
}

/** Throws Fault `invalid_input` where the earlier version, to which a rollback leads, does not read the state. */
export function refuseUnreadable(dataDir: string, to: Version, executable: string): void {
  const now = stateLevel(dataDir);
  if (now === undefined || to.level === undefined || to.level >= now) return;
  throw new Fault("invalid_input", `The state is at level ${now}, and ${nameOf(to)} reads levels up to ${to.level}`, {
    hint: stepsBack(executable, undefined),
  });
}

/** Returns the level to which the newer version has raised the state, where this version does not read it any more. */
export function raisedTo(dataDir: string): number | undefined {
  try {
    const now = stateLevel(dataDir);
    return now !== undefined && now > KNOWN_LEVEL ? now : undefined;
  } catch {
    // Damaged or gone: the earlier version says that itself.
    return undefined;
  }
}

/** What leads back to the earlier version once the level was raised. */
export function stepsBack(executable: string, copy: StateCopy | undefined): string {
  const from = copy === undefined ? "FOLDER, a copy from before (cairn backup list)" : `${copy.folder}/${copy.name}`;
  return (
    "To go back, stop the service, put the earlier executable back (cairn upgrade --rollback), then, as the account " +
    `of the node, run ${executable} restore --aside ${from}, and start the service. What was written since that ` +
    "copy stays in aside/; the node is a fleet of its own then."
  );
}

/** This version. */
export const ownVersion: Version = { version: buildInfo.version, commit: buildInfo.commit, level: KNOWN_LEVEL };
