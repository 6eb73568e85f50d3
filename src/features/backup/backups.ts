// Scheduled backups of this node: one at a time, checked, kept by a rule, and uploaded to a bucket if one is set. A
// failure raises a condition and is tried again. copy-process.ts makes the copies.

import { rmSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { backoffMs } from "../../lib/retry.ts";
import { parsePosition } from "../../log/position.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import { type Manifest, readManifest } from "../../store/backup.ts";
import { BackupFolder } from "./backup-folder.ts";
import { type BackupName, nameOf, newestFirst, parseName } from "./backup-name.ts";
import { type BackupState, type MadeBackup, readState, writeState } from "./backup-state.ts";
import type { Bucket } from "./bucket.ts";
import type { backupConditions } from "./conditions.ts";
import { type Retention, surplusOf } from "./retention.ts";
import type { Schedule } from "./schedule.ts";

/** The first check comes soon after the start, to make up a missed backup, but not while the node is starting. */
const FIRST_CHECK_MS = 5_000;
const CHECK_MS = 30_000;
/** Between a failure and the next attempt. */
const RETRY = { firstMs: 5 * 60_000, lastMs: 60 * 60_000 };
/** Once a text was purged, the bucket is listed so often, to name the backups there that are from before. */
const LIST_MS = 60 * 60_000;
/** The last backup is too old when this many have been due since. */
const OLD_PERIODS = 3;

export interface BackupsOptions {
  dataDir: string;
  folder: string;
  hostname: string;
  /** Returns the schedule for a maker id; undefined: only on demand. */
  schedule: (maker: string) => Schedule | undefined;
  keep: Retention;
  /** Returns the bucket for a maker id; undefined: none is set. */
  bucket: (maker: string) => Bucket | undefined;
  /** Copies the store into a new folder and checks the copy. */
  copy: (to: string, signal: AbortSignal) => Promise<Manifest>;
  /** Checks the backup in a folder. */
  check: (folder: string, signal: AbortSignal) => Promise<Manifest>;
  /** Most bytes that a copy can need. */
  storeBytes: () => number;
  /** Returns this node's chain hash (hex) at a position; undefined if the change is no longer kept. */
  hashAt: (position: string) => string | undefined;
  /** Reports whether a position is of this node's fleet, now or before a fork. */
  isOfFleet: (position: string) => boolean;
  conditions: ConditionsOf<keyof typeof backupConditions>;
  log: LogLine;
  nowMs: () => number;
}

/** What `backup_list` and `status` show. */
export interface BackupsReport {
  /** Cron expression; undefined: only on demand. */
  schedule: string | undefined;
  /** When the next one is due, Unix time in ms. */
  next: number | undefined;
  folder: string;
  bucket: string | undefined;
  last: (MadeBackup & { inBucket: boolean }) | undefined;
  failed: { reason: string; at_ms: number } | undefined;
  running: boolean;
}

/** A backup, and where it is. */
export interface ListedBackup {
  backup: BackupName;
  inFolder: boolean;
  /** Undefined if the bucket was not listed. */
  inBucket: boolean | undefined;
}

/** What this node knows of the bucket. */
interface Listing {
  /** Complete backups of all makers, as of `atMs`; undefined before the first listing. */
  backups: readonly BackupName[] | undefined;
  atMs: number;
  /** Why listings since then failed, and how many did; undefined where the last one did not. */
  failed: { reason: string; times: number } | undefined;
}

/** The scheduled backups of one node. */
export class Backups {
  readonly name = "backups";
  readonly #options: BackupsOptions;
  readonly #folder: BackupFolder;
  readonly #bucket: Bucket | undefined;
  readonly #schedule: Schedule | undefined;
  readonly #startedMs: number;
  readonly #stopped = new AbortController();
  #state: BackupState;
  #running: Promise<MadeBackup> | undefined;
  #listing: Listing = { backups: undefined, atMs: 0, failed: undefined };
  /** Whether something was purged, so that it matters what the bucket has. */
  #mustKnowBucket = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: BackupsOptions) {
    this.#options = options;
    this.#startedMs = options.nowMs();
    this.#state = readState(options.dataDir, this.#startedMs);
    this.#folder = new BackupFolder(options.folder, this.#state.maker);
    this.#bucket = options.bucket(this.#state.maker);
    this.#schedule = options.schedule(this.#state.maker);
  }

  /** Removes what an interrupted backup left, then checks regularly whether one is due. */
  start(): void {
    try {
      this.#folder.removeLeftovers();
    } catch (error) {
      this.#options.log("warning", `cannot remove leftovers in ${this.#folder.path}: ${reasonOf(error)}`);
    }
    this.#updateAgeCondition();
    this.#checkIn(FIRST_CHECK_MS);
  }

  /** Cancels a running backup without leaving anything of it. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopped.abort();
    await this.#running?.catch(() => {});
  }

  /** Makes a backup if one is due, or uploads one whose upload failed. Returns whether there was something to do. */
  async runIfDue(): Promise<boolean> {
    this.#updateAgeCondition();
    if (this.#stopped.signal.aborted || this.#running !== undefined || !this.#isDue()) return false;
    // A failure is in the condition and in the log.
    await this.runNow(!this.#isCopyDue()).catch(() => {});
    return true;
  }

  /** Makes a backup, or joins the running one. With `uploadOnly` the last one is uploaded and none is made. */
  runNow(uploadOnly = false): Promise<MadeBackup> {
    this.#running ??= this.#run(uploadOnly).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  report(): BackupsReport {
    const { made, sent, failed } = this.#state;
    return {
      schedule: this.#schedule?.text,
      next: this.#schedule?.next(this.#lastMs()),
      folder: this.#folder.path,
      bucket: this.#bucket?.location,
      last: made === null ? undefined : { ...made, inBucket: sent?.name === made.name },
      failed: failed === null ? undefined : { reason: failed.reason, at_ms: failed.at_ms },
      running: this.#running !== undefined,
    };
  }

  /** Returns the backups in the folder and, with `remote`, in the bucket, newest first. */
  async list(remote: boolean, signal: AbortSignal): Promise<ListedBackup[]> {
    const local = this.#folder.list();
    const stored = remote ? (await this.#listBucket(this.#requireBucket(), signal)).complete : undefined;
    const all = new Map([...local, ...(stored ?? [])].map((backup) => [backup.name, backup]));
    return newestFirst([...all.values()]).map((backup) => ({
      backup,
      inFolder: local.some(({ name }) => name === backup.name),
      inBucket: stored?.some(({ name }) => name === backup.name),
    }));
  }

  /**
   * Returns the names of the backups that were made before the change `seq`, newest first: what is not known of the
   * bucket, then those in the folder, then those in the bucket as `bucket/<name>`.
   */
  namesBefore(seq: number): string[] {
    this.#mustKnowBucket = true;
    const namesOf = (backups: readonly BackupName[]): string[] =>
      newestFirst(backups.filter(({ position }) => parsePosition(position).seq < seq)).map(({ name }) => name);
    const here = namesOf(this.#folder.list());
    if (this.#bucket === undefined) return here;
    const { backups, failed } = this.#listing;
    const stored = (backups ?? []).filter(({ position }) => this.#options.isOfFleet(position));
    const named = [...here, ...namesOf(stored).map((name) => `bucket/${name}`)];
    if (failed !== undefined) return [`bucket/ (cannot be listed: ${failed.reason})`, ...named];
    return backups === undefined ? ["bucket/ (not listed yet)", ...named] : named;
  }

  /** Lists the bucket where what it holds matters and is not known, or not of late. Never rejects. */
  async listIfNeeded(): Promise<void> {
    const { signal } = this.#stopped;
    const { backups, atMs, failed } = this.#listing;
    const sinceMs = this.#options.nowMs() - atMs;
    const waitMs = failed !== undefined ? backoffMs(failed.times, RETRY) : backups === undefined ? 0 : LIST_MS;
    if (this.#bucket === undefined || !this.#mustKnowBucket || signal.aborted) return;
    // Negative: the clock was set back.
    if (sinceMs >= 0 && sinceMs < waitMs) return;
    await this.#listBucket(this.#bucket, signal).catch(() => {});
  }

  /** Lists the bucket, and remembers what is in it. */
  async #listBucket(
    bucket: Bucket,
    signal: AbortSignal,
  ): Promise<{ complete: BackupName[]; incomplete: BackupName[] }> {
    const { nowMs, log } = this.#options;
    try {
      const listed = await bucket.list(signal);
      this.#listing = { backups: listed.complete, atMs: nowMs(), failed: undefined };
      return listed;
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = reasonOf(error);
      log("debug", `the bucket cannot be listed: ${reason}`);
      const times = (this.#listing.failed?.times ?? 0) + 1;
      this.#listing = { ...this.#listing, atMs: nowMs(), failed: { reason, times } };
      throw error;
    }
  }

  /**
   * Downloads a backup from the bucket into the folder, and checks it. Rejects with Fault `invalid_input`,
   * `data_exists`, `not_found`, `data_corrupt`, `storage_full` or `unavailable`.
   */
  async fetch(name: string, signal: AbortSignal): Promise<{ path: string; manifest: Manifest }> {
    const bucket = this.#requireBucket();
    const path = join(this.#folder.path, name);
    if (parseName(name) === undefined)
      throw new Fault("invalid_input", `${JSON.stringify(name)} is not the name of a backup`, {
        hint: "See `cairn backup list --remote`.",
      });
    if (this.#folder.list().some((backup) => backup.name === name))
      throw new Fault("data_exists", `${path} already exists`, {
        hint: `Restore it: stop the node, then run cairn restore ${path} --aside.`,
      });
    if (this.#running !== undefined)
      throw new Fault("unavailable", "A backup is being made now", { hint: "Try again in a minute." });
    const fetched = this.#download(bucket, name, AbortSignal.any([signal, this.#stopped.signal]));
    // Counts as the running backup, so that a scheduled one waits for its end.
    const running = fetched.then(({ manifest }) => madeOf(name, this.#options.nowMs(), manifest));
    running.catch(() => {});
    this.#running = running;
    try {
      return await fetched;
    } finally {
      this.#running = undefined;
    }
  }

  async #download(bucket: Bucket, name: string, signal: AbortSignal): Promise<{ path: string; manifest: Manifest }> {
    const manifest = await bucket.manifestOf(name, signal);
    const path = this.#folder.begin(manifest.file.bytes);
    try {
      await mkdir(path, { mode: 0o700 });
      await bucket.downloadFile(name, join(path, "cairn.db"), manifest, signal);
      await writeFile(join(path, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`, {
        mode: 0o600,
        flush: true,
      });
      await this.#options.check(path, signal);
      return { path: this.#folder.finish(path, name), manifest };
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  }

  async #run(uploadOnly: boolean): Promise<MadeBackup> {
    const { conditions, log, nowMs } = this.#options;
    const { signal } = this.#stopped;
    signal.throwIfAborted();
    try {
      const last = this.#state.made;
      const made = uploadOnly && last !== null ? last : await this.#make(signal);
      if (this.#bucket !== undefined) await this.#upload(this.#bucket, made, signal);
      await this.#removeSurplus(signal);
      this.#updateState({ failed: null });
      conditions.clear("backup_failed");
      return made;
    } catch (error) {
      if (signal.aborted)
        throw new Fault("cancelled", "The node stops", { hint: "The backup is made after the next start." });
      const reason = reasonOf(error);
      this.#updateState({ failed: { reason, at_ms: nowMs(), times: (this.#state.failed?.times ?? 0) + 1 } });
      conditions.raise("backup_failed", reason);
      log("debug", `a backup failed: ${error instanceof Error ? error.stack : reason}`);
      throw error;
    } finally {
      this.#updateAgeCondition();
    }
  }

  async #make(signal: AbortSignal): Promise<MadeBackup> {
    const { hostname, nowMs, log } = this.#options;
    const copy = this.#folder.begin(this.#options.storeBytes());
    try {
      const manifest = await this.#options.copy(copy, signal);
      const position = String(manifest.content["position"]);
      this.#refuseOtherHistory(manifest, position);
      const atMs = Math.floor(nowMs() / 1000) * 1000;
      const name = nameOf({ hostname, maker: this.#state.maker, atMs, position });
      if (parseName(name) === undefined) {
        throw new Fault("unavailable", `There is nothing to back up yet (position ${JSON.stringify(position)})`, {
          hint: "A node that joins a fleet has its store once the fleet has admitted it.",
        });
      }
      const path = this.#folder.finish(copy, name);
      const made = madeOf(name, atMs, manifest);
      this.#updateState({ made });
      log(
        "info",
        `backed up ${counted(made.contexts, "context")} at ${position} to ${path} (${counted(made.bytes, "byte")}, checked)`,
      );
      return made;
    } finally {
      this.#folder.removeLeftovers();
    }
  }

  /** Throws Fault `data_corrupt` if the chain hash of the copy is not the one that this node has. */
  #refuseOtherHistory({ content: { head } }: Manifest, position: string): void {
    const own = this.#options.hashAt(position);
    if (own === undefined || own === head) return;
    throw new Fault(
      "data_corrupt",
      `The copy has another history than this node: hash ${head} at ${position}, and ${own} on this node`,
      { hint: "Check the disk; `cairn audit --verify` checks the store." },
    );
  }

  async #upload(bucket: Bucket, made: MadeBackup, signal: AbortSignal): Promise<void> {
    if (this.#state.sent?.name === made.name) return;
    const path = join(this.#folder.path, made.name);
    await bucket.upload(made.name, path, readManifest(path), signal);
    this.#updateState({ sent: { name: made.name, at_ms: this.#options.nowMs() } });
    this.#options.log("info", `uploaded ${made.name} to ${bucket.location}`);
  }

  /** Removes this maker's backups that the rule does not keep, in the folder and in the bucket. */
  async #removeSurplus(signal: AbortSignal): Promise<void> {
    const { keep } = this.#options;
    for (const backup of surplusOf(this.#folder.own(), keep)) this.#folder.remove(backup);
    if (this.#bucket === undefined) return;
    const isOwn = ({ maker }: BackupName): boolean => maker === this.#state.maker;
    const { complete, incomplete } = await this.#listBucket(this.#bucket, signal);
    for (const backup of [...surplusOf(complete.filter(isOwn), keep), ...incomplete.filter(isOwn)]) {
      await this.#bucket.remove(backup, signal);
      const left = this.#listing.backups?.filter(({ name }) => name !== backup.name);
      this.#listing = { ...this.#listing, backups: left };
    }
  }

  #isDue(): boolean {
    const { failed } = this.#state;
    if (failed !== null) {
      const sinceMs = this.#options.nowMs() - failed.at_ms;
      // Negative: the clock was set back.
      if (sinceMs >= 0 && sinceMs < backoffMs(failed.times, RETRY)) return false;
    }
    return this.#isCopyDue() || (this.#schedule !== undefined && this.#isUploadMissing());
  }

  #isCopyDue(): boolean {
    return this.#schedule !== undefined && this.#schedule.next(this.#lastMs()) <= this.#options.nowMs();
  }

  #isUploadMissing(): boolean {
    const { made, sent } = this.#state;
    if (this.#bucket === undefined || made === null || sent?.name === made.name) return false;
    return this.#folder.own().some(({ name }) => name === made.name);
  }

  /** Returns the time from which the schedule counts: the last good backup, or the creation of the state. */
  #lastMs(): number {
    const lastMs = this.#state.made?.at_ms ?? this.#state.since_ms;
    // A time in the future comes from a clock that was wrong.
    return lastMs > this.#options.nowMs() ? this.#startedMs : lastMs;
  }

  #updateAgeCondition(): void {
    const { conditions, nowMs } = this.#options;
    let due = this.#lastMs();
    for (let period = 0; period < OLD_PERIODS; period += 1) due = this.#schedule?.next(due) ?? Number.POSITIVE_INFINITY;
    const { made } = this.#state;
    if (nowMs() <= due) conditions.clear("backup_old");
    else conditions.raise("backup_old", made === null ? "there is none yet" : `the last good one is ${made.name}`);
  }

  #updateState(change: Partial<BackupState>): void {
    this.#state = { ...this.#state, ...change };
    writeState(this.#options.dataDir, this.#state);
  }

  #checkIn(delayMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => {
      void this.runIfDue()
        .then(() => this.listIfNeeded())
        .catch((error: unknown) => this.#options.log("error", `checking the backups failed: ${reasonOf(error)}`))
        .finally(() => this.#checkIn(CHECK_MS));
    }, delayMs);
    this.#timer.unref();
  }

  #requireBucket(): Bucket {
    if (this.#bucket !== undefined) return this.#bucket;
    throw new Fault("not_found", "This node has no bucket for backups", {
      hint: "Set backup.s3_url, backup.s3_bucket and the keys (docs/settings.md).",
    });
  }
}

/** Returns the bytes of a store file and of its write-ahead log. */
export function storeBytesOf(path: string): number {
  return [path, `${path}-wal`].reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

function madeOf(name: string, atMs: number, { file, content }: Manifest): MadeBackup {
  return {
    name,
    at_ms: atMs,
    position: String(content["position"]),
    bytes: file.bytes,
    contexts: Number(content["contexts"]),
    sha256: file.sha256,
  };
}
