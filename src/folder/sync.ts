// One pass over a folder and the contexts of its prefix: looks at both, decides by the three-way rule, and does the
// steps. What cannot be done is named, and stops nothing else.

import { statSync } from "node:fs";
import { idProblem } from "../features/context/index.ts";
import { forEachConcurrently } from "../lib/concurrently.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import { type Action, decide } from "./decide.ts";
import { Files } from "./files.ts";
import { type Left, leftBy } from "./left.ts";
import { idOfPath, pathOfId } from "./names.ts";
import type { NodeCalls } from "./node-calls.ts";
import { digestOf, parseNote } from "./note.ts";
import { readText } from "./read-file.ts";
import { isNote, Remote } from "./remote.ts";
import type { Done, Report, Step } from "./report.ts";
import { isSameSeen, type Scanned, type Seen, scanFolder } from "./scan.ts";
import type { Entry, SyncState } from "./state.ts";
import { type Local, type Prefer, Steps } from "./steps.ts";

/** Notes that are synced at the same time. */
const AT_ONCE = 8;
const SAVE_MS = 2000;
/** Most passes of one sync: what changes all the time is left. */
const PASSES = 3;
/** Of more deletions than this, more than half of all notes is too many. */
const FEW = 20;

/** What is synced, and how. */
export interface SyncOptions {
  root: string;
  /** Below which the ids are, without a `/` at its end. */
  prefix: string;
  node: NodeCalls;
  state: SyncState;
  signal: AbortSignal;
  /** Decides and reports, and changes nothing. */
  dryRun: boolean;
  /** Carries over that all notes, or most of them, are gone on one side. */
  deleteAll: boolean;
  prefer: Prefer;
  /** Whether the disk takes names that differ only in case for the same. */
  foldsCase: boolean;
  /** A file that is missing is taken as deleted only after so long, in ms: editors replace files. */
  deleteAfterMs: number;
  /** Called after each step. */
  onStep?: (step: Step) => void;
}

interface Planned {
  action: Exclude<Action, "none" | "adopt" | "forget">;
  id: string;
  path: string;
}

/** Syncs a folder, one pass at a time. */
export class FolderSync {
  readonly #options: SyncOptions;
  readonly #remote: Remote;
  readonly #files: Files;
  readonly #steps: Steps;
  readonly #missingSince = new Map<string, number>();
  #isLoaded = false;
  #savedMs = 0;

  constructor(options: SyncOptions) {
    this.#options = options;
    const { node, prefix, root, state, signal } = options;
    this.#remote = new Remote(node, prefix);
    this.#files = new Files(root);
    this.#steps = new Steps({ node, remote: this.#remote, files: this.#files, state, signal });
  }

  /** When a file that is missing may be taken as deleted, in ms from now; undefined: none is missing. */
  get dueMs(): number | undefined {
    const first = Math.min(...this.#missingSince.values());
    return Number.isFinite(first) ? Math.max(0, first + this.#options.deleteAfterMs - Date.now()) : undefined;
  }

  /**
   * Does one pass. `changed`: ids to look at again since the last pass; "all": every context. Rejects with the Faults
   * of the node, the folder and the disk; what was done until then is recorded.
   */
  async pass(changed: Iterable<string> | "all"): Promise<Report> {
    const { root, prefix, dryRun, state, node } = this.#options;
    const rootInode = statSync(root).ino;
    const scanned = scanFolder(root);
    const report: Report = {
      ...{ dry_run: dryRun, prefix, unchanged: 0, steps: [], conflicts: [], left: [...scanned.left], remarks: [] },
      ...{ other_files: scanned.others, other_contexts: 0 },
    };
    try {
      await this.#look(changed);
      if (state.follow(epochOf(node.position()))) report.remarks.push(OTHER_HISTORY);
      const local = await this.#read(scanned, report);
      const plan = this.#held(this.#plan(scanned, local, report), report);
      await forEachConcurrently(plan, AT_ONCE, async (planned) => {
        this.#options.signal.throwIfAborted();
        if (statSync(root, { throwIfNoEntry: false })?.ino !== rootInode) throw otherFolder(root);
        await this.#do(planned, local, report);
      });
    } finally {
      this.#save();
    }
    return report;
  }

  /**
   * Syncs once. What changed while it ran is looked at again, a few times. Rejects as `pass` does.
   */
  async run(): Promise<Report> {
    let whole = await this.pass("all");
    for (let again = 1; again < PASSES && whole.left.some(({ code }) => code === "version_mismatch"); again++) {
      const next = await this.pass("all");
      const kinds = ["steps", "conflicts", "remarks"] as const;
      whole = { ...next, ...Object.fromEntries(kinds.map((kind) => [kind, [...whole[kind], ...next[kind]]])) };
    }
    return whole;
  }

  async #look(changed: Iterable<string> | "all"): Promise<void> {
    if (changed === "all" || !this.#isLoaded) await this.#remote.load();
    else await this.#remote.refresh([...changed].filter((id) => this.#remote.has(id)));
    this.#isLoaded = true;
  }

  /** Returns the files by id, each with the digest of its note. */
  async #read(scanned: Scanned, report: Report): Promise<Map<string, Local>> {
    const { prefix, state, signal, root } = this.#options;
    const local = new Map<string, Local>();
    const known = new Set([...state.entries.values()].map(({ path }) => path));
    // Of two files with one id, that of the last sync comes first.
    const paths = [...scanned.files.keys()].sort(
      (one, other) => Number(known.has(other)) - Number(known.has(one)) || (one < other ? -1 : 1),
    );
    for (const path of paths) {
      signal.throwIfAborted();
      const id = idOfPath(prefix, path);
      const problem = idProblem(id);
      const first = local.get(id)?.path;
      if (problem !== undefined)
        this.#leave(report, scanned, {
          place: path,
          why: `its id would be ${JSON.stringify(id)}: ${problem}`,
          hint: "Rename the file.",
        });
      else if (first !== undefined)
        this.#leave(report, scanned, {
          place: path,
          why: `it would be the same context as ${first}`,
          hint: "Rename one of them.",
        });
      else {
        const found = await this.#localAt(root, id, path, scanned.files.get(path) as Seen);
        if ("why" in found) this.#leave(report, scanned, found);
        else local.set(id, found);
      }
    }
    return local;
  }

  async #localAt(root: string, id: string, path: string, seen: Seen): Promise<Local | Left> {
    const entry = this.#options.state.entries.get(id);
    if (entry?.path === path && entry.settled && isSameSeen(entry.seen, seen))
      return { path, seen, digest: entry.digest };
    const read = await readText(root, path, this.#options.signal);
    if ("why" in read) return read;
    return { path, seen: read.seen, digest: digestOf(parseNote(read.text).note) };
  }

  #leave(report: Report, scanned: Scanned, left: Left): void {
    report.left.push(left);
    scanned.unknown.push(left.place);
  }

  /** Decides about every note. What is the same on both sides is recorded at once. */
  #plan(scanned: Scanned, local: ReadonlyMap<string, Local>, report: Report): Planned[] {
    const { state, prefix } = this.#options;
    const ids = new Set([...state.entries.keys(), ...local.keys(), ...this.#remote.listed.keys()]);
    const taken = new Map([...local.values()].map(({ path }) => [folded(path), path]));
    const unknown = new Set(scanned.unknown);
    const plan: Planned[] = [];
    const missing = new Set<string>();
    const missed: string[] = [];
    for (const id of [...ids].sort()) {
      const entry = state.entries.get(id);
      const here = local.get(id);
      const there = this.#remote.listed.get(id);
      const path = here?.path ?? entry?.path ?? pathOfId(prefix, id);
      if (here === undefined && isUnknown(path, unknown)) {
        missed.push(path);
        continue;
      }
      if (there !== undefined && !isNote(there)) {
        if (here === undefined) report.other_contexts += 1;
        else
          report.left.push({
            place: path,
            why: `${id} is ${there.contentType} now, and no text`,
            hint: "Move the file away, or write the context as text again.",
          });
        continue;
      }
      const action = decide(entry, here?.digest, there);
      if (action === "delete-there") missing.add(id);
      if (action === "none" || action === "adopt" || action === "forget") {
        if (action !== "none" || (here !== undefined && !isRecorded(here, entry))) this.#record(id, here, there);
        if (here !== undefined) report.unchanged += 1;
      } else if (action === "pull" && here === undefined && this.#isCollision(path, taken)) {
        report.left.push({
          place: id,
          why: `its file ${path} differs from ${taken.get(folded(path))} only in case, and this disk keeps one of them`,
          hint: "Give one of the contexts another id.",
        });
      } else if (action !== "delete-there" || this.#isDue(id)) {
        taken.set(folded(path), path);
        plan.push({ action, id, path });
      }
    }
    for (const id of this.#missingSince.keys()) if (!missing.has(id)) this.#missingSince.delete(id);
    report.left = report.left.map((left) => judgedBy(missed, left));
    return plan;
  }

  #record(id: string, here: Local | undefined, there: { version: number; etag: string } | undefined): void {
    const { state, dryRun } = this.#options;
    if (dryRun) return;
    const entry = state.entries.get(id);
    if (here === undefined) state.delete(id);
    else if (there !== undefined) this.#steps.adopt(id, here, newest(there, entry) ?? there);
  }

  #isCollision(path: string, taken: ReadonlyMap<string, string>): boolean {
    return this.#options.foldsCase && taken.has(folded(path));
  }

  /** Reports whether a file has been missing for long enough. */
  #isDue(id: string): boolean {
    const { deleteAfterMs } = this.#options;
    const since = this.#missingSince.get(id) ?? Date.now();
    this.#missingSince.set(id, since);
    return Date.now() - since >= deleteAfterMs;
  }

  /** Takes deletions out of a plan that look like a disk that is not there, or a store that was emptied. */
  #held(plan: readonly Planned[], report: Report): readonly Planned[] {
    const { deleteAll, state, root, prefix } = this.#options;
    const all = state.entries.size;
    const kinds = ["delete-there", "delete-here"] as const;
    const held = kinds.filter((kind) => {
      const count = plan.filter(({ action }) => action === kind).length;
      if (deleteAll || count === 0 || !(count === all || (count > FEW && count > all / 2))) return false;
      const [place, what, other] =
        kind === "delete-there" ? [root, "files", "contexts"] : [prefix, "contexts", "files"];
      report.left.push({
        place,
        why: `${count} of ${counted(all, "note")} are gone here; their ${other} were not deleted`,
        hint: `If you deleted the ${what}, run it with --delete-all. If their disk is not mounted, mount it first.`,
      });
      return true;
    });
    return plan.filter(({ action }) => !held.some((kind) => kind === action));
  }

  async #do(planned: Planned, local: ReadonlyMap<string, Local>, report: Report): Promise<void> {
    const { id, path } = planned;
    try {
      const did = this.#options.dryRun ? DID[planned.action] : await this.#act(planned, local.get(id), report);
      const step = { did, path, id };
      report.steps.push(step);
      this.#options.onStep?.(step);
    } catch (error) {
      report.left.push(leftBy(path, error));
      // What the node has now is looked at by the next pass.
      const found = await this.#remote.look(id).catch(() => undefined);
      if (found !== undefined && "etag" in found) this.#remote.listed.set(id, found);
    }
    if (Date.now() - this.#savedMs > SAVE_MS) this.#save();
  }

  async #act({ action, id, path }: Planned, here: Local | undefined, report: Report): Promise<Done> {
    const there = newest(this.#remote.listed.get(id), this.#options.state.entries.get(id));
    const remark = (text: string | undefined) => text !== undefined && report.remarks.push(`${path}: ${text}`);
    const wasSynced = this.#options.state.entries.has(id);
    if (action === "pull") await this.#steps.pull(id, path, here?.seen);
    if (action === "pull" && here === undefined && wasSynced)
      remark("it was deleted here and changed in the store, so it is back");
    if (action === "delete-there" && there !== undefined) await this.#steps.deleteThere(id, path, there);
    if (here !== undefined) {
      if (action === "create") remark(await this.#steps.push(id, here, undefined));
      if (action === "create" && wasSynced) remark("it was deleted in the store and changed here, so it is back");
      if (action === "push") remark(await this.#steps.push(id, here, there));
      if (action === "delete-here") await this.#steps.deleteHere(id, here);
      if (action === "conflict" && there !== undefined)
        report.conflicts.push(await this.#steps.resolve(id, here, there, this.#options.prefer));
    }
    return DID[action];
  }

  #save(): void {
    if (this.#options.dryRun) return;
    this.#files.flush();
    this.#options.state.save();
    this.#savedMs = Date.now();
  }
}

const OTHER_HISTORY =
  "the store has another history than at the last sync (another store, or one that was restored): nothing is deleted this time, and where texts differ both are kept";

const DID: Readonly<Record<Planned["action"], Done>> = {
  create: "created",
  push: "updated",
  pull: "written",
  "delete-here": "removed",
  "delete-there": "deleted",
  conflict: "conflict",
};

/** Reports whether the state has a file as it is now. */
function isRecorded(here: Local, entry: Entry | undefined): boolean {
  return entry?.settled === true && entry.path === here.path && isSameSeen(entry.seen, here.seen);
}

/** Returns a context as it is listed, or as the last sync wrote it where the node has not caught up with that. */
function newest<T extends { version: number; etag: string }>(
  listed: T | undefined,
  entry: Entry | undefined,
): T | undefined {
  if (listed === undefined || entry === undefined || entry.version <= listed.version) return listed;
  return { ...listed, version: entry.version, etag: entry.etag };
}

/** Returns the part of a position that names the history of the store. */
function epochOf(position: string): string {
  return position.slice(0, Math.max(0, position.lastIndexOf("-")));
}

function otherFolder(root: string): Fault {
  return new Fault("not_found", `${root} is gone, or is another folder than at the start of the sync`, {
    hint: "See whether its disk is mounted, then run it again.",
  });
}

/** Names that a disk without case takes for the same. */
function folded(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

/** Returns what was left: a link is not ignored where it is in place of a note, or of a folder with one. */
function judgedBy(missed: readonly string[], left: Left): Left {
  const { ignored, ...named } = left;
  const place = new Set([left.place]);
  return ignored === true && missed.some((path) => isUnknown(path, place)) ? named : left;
}

/** Reports whether a path is, or is below, one that could not be looked at. */
function isUnknown(path: string, unknown: ReadonlySet<string>): boolean {
  if (unknown.size === 0) return false;
  const parts = path.split("/");
  return parts.some((_, at) => unknown.has(parts.slice(0, at + 1).join("/")));
}
