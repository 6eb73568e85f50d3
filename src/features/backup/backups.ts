// Scheduled backups of this node: one at a time, verified, kept by rule, sent to a bucket where one is set. What failed is a condition and is tried again; how a copy is made is child.ts's.

import { rmSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { backoffMs } from "../../lib/retry.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import { type Manifest, readManifest } from "../../store/backup.ts";
import type { Bucket } from "./bucket.ts";
import type { backupConditions } from "./conditions.ts";
import { BackupFolder } from "./folder.ts";
import { type BackupName, nameOf, newestFirst, parseName } from "./names.ts";
import { type Keep, surplusOf } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import { type Made, readState, type State, writeState } from "./state.ts";

/** Soon after a start, so that a run that was missed is made up, and not in its midst. */
const FIRST_LOOK_MS = 5_000;
const LOOK_MS = 30_000;
/** Between a failure and the next try. */
const RETRY = { firstMs: 5 * 60_000, lastMs: 60 * 60_000 };
/** A backup is too old when so many have been due since. */
const OLD_PERIODS = 3;

export interface BackupsOptions {
  dataDir: string;
  folder: string;
  hostname: string;
  /** When one is due, for a maker; undefined: only on demand. */
  schedule: (maker: string) => Schedule | undefined;
  keep: Keep;
  /** The bucket for a maker, where one is set. */
  bucket: (maker: string) => Bucket | undefined;
  /** Copies the store into a new folder, checked. */
  make: (to: string, signal: AbortSignal) => Promise<Manifest>;
  /** Checks a backup in a folder. */
  check: (folder: string, signal: AbortSignal) => Promise<Manifest>;
  /** Bytes that a copy takes at most. */
  storeBytes: () => number;
  /** Hex chain hash of the change at a position as this node has it, where it still has it. */
  hashAt: (position: string) => string | undefined;
  conditions: ConditionsOf<keyof typeof backupConditions>;
  log: LogLine;
  nowMs: () => number;
}

/** What `backup_list` and `status` show. */
export interface BackupsReport {
  /** Cron text, or undefined when it is off. */
  schedule: string | undefined;
  /** Unix milliseconds. */
  next: number | undefined;
  folder: string;
  bucket: string | undefined;
  last: (Made & { inBucket: boolean }) | undefined;
  failed: { reason: string; at_ms: number } | undefined;
  running: boolean;
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
  #state: State;
  #running: Promise<Made> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: BackupsOptions) {
    this.#options = options;
    this.#startedMs = options.nowMs();
    this.#state = readState(options.dataDir, this.#startedMs);
    this.#folder = new BackupFolder(options.folder, this.#state.maker);
    this.#bucket = options.bucket(this.#state.maker);
    this.#schedule = options.schedule(this.#state.maker);
  }

  /** Removes what an interrupted one left, then looks now and then whether one is due. */
  start(): void {
    try {
      this.#folder.clean();
    } catch (error) {
      this.#options.log("warning", `leftovers in ${this.#folder.path} stay: ${reasonOf(error)}`);
    }
    this.#judgeAge();
    this.#lookIn(FIRST_LOOK_MS);
  }

  /** Ends a running one; nothing of it is left. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopped.abort();
    await this.#running?.catch(() => {});
  }

  /** Makes one if it is due, or sends one that did not get through; answers whether it tried. */
  async look(): Promise<boolean> {
    this.#judgeAge();
    if (this.#stopped.signal.aborted || this.#running !== undefined || !this.#isDue()) return false;
    // The failure is a condition and in the log.
    await this.now(!this.#isMakeDue()).catch(() => {});
    return true;
  }

  /** Makes one now, or joins the one that is being made. With `sendOnly` the last one is only sent. */
  now(sendOnly = false): Promise<Made> {
    this.#running ??= this.#run(sendOnly).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  report(): BackupsReport {
    const { made, sent, failed } = this.#state;
    return {
      schedule: this.#schedule?.text,
      next: this.#schedule?.next(this.#baseMs()),
      folder: this.#folder.path,
      bucket: this.#bucket?.place,
      last: made === null ? undefined : { ...made, inBucket: sent?.name === made.name },
      failed: failed === null ? undefined : { reason: failed.reason, at_ms: failed.at_ms },
      running: this.#running !== undefined,
    };
  }

  /** Backups in the folder and, if asked, in the bucket; the newest first. */
  async list(
    remote: boolean,
    signal: AbortSignal,
  ): Promise<{ backup: BackupName; here: boolean; there: boolean | undefined }[]> {
    const here = this.#folder.list();
    const there = remote ? (await this.#wantBucket().list(signal)).whole : undefined;
    const all = new Map([...here, ...(there ?? [])].map((backup) => [backup.name, backup]));
    return newestFirst([...all.values()]).map((backup) => ({
      backup,
      here: here.some(({ name }) => name === backup.name),
      there: there?.some(({ name }) => name === backup.name),
    }));
  }

  /** Brings a backup from the bucket into the folder, checked; answers its path. Faults: `data_exists`, `not_found`, `data_corrupt`, `storage_full`, `unavailable`. */
  async fetch(name: string, signal: AbortSignal): Promise<{ path: string; manifest: Manifest }> {
    const bucket = this.#wantBucket();
    const path = join(this.#folder.path, name);
    if (parseName(name) === undefined)
      throw new Fault("invalid_input", `${JSON.stringify(name)} is no name of a backup`, {
        hint: "See `cairn backup list --remote`.",
      });
    if (this.#folder.list().some((backup) => backup.name === name))
      throw new Fault("data_exists", `${path} is there already`, {
        hint: `Restore it: stop the node, then cairn restore ${path} --aside.`,
      });
    if (this.#running !== undefined) throw busy();
    const both = AbortSignal.any([signal, this.#stopped.signal]);
    const brought = (async () => {
      const manifest = await bucket.manifestOf(name, both);
      const place = this.#folder.begin(manifest.file.bytes);
      try {
        await mkdir(place, { mode: 0o700 });
        await bucket.fetchFile(name, join(place, "cairn.db"), manifest, both);
        await writeFile(join(place, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`, {
          mode: 0o600,
          flush: true,
        });
        await this.#options.check(place, both);
        return { path: this.#folder.finish(place, name), manifest };
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    })();
    // A scheduled one waits for its end.
    const turn = brought.then(({ manifest }) => madeOf(name, this.#options.nowMs(), manifest));
    turn.catch(() => {});
    this.#running = turn;
    try {
      return await brought;
    } finally {
      this.#running = undefined;
    }
  }

  async #run(sendOnly: boolean): Promise<Made> {
    const { conditions, log, nowMs } = this.#options;
    const { signal } = this.#stopped;
    signal.throwIfAborted();
    try {
      const last = this.#state.made;
      const made = sendOnly && last !== null ? last : await this.#make(signal);
      if (this.#bucket !== undefined) await this.#send(this.#bucket, made, signal);
      await this.#tidy(signal);
      this.#remember({ failed: null });
      conditions.clear("backup_failed");
      return made;
    } catch (error) {
      if (signal.aborted)
        throw new Fault("cancelled", "The node stops", { hint: "The backup is made up after the next start." });
      const reason = reasonOf(error);
      this.#remember({ failed: { reason, at_ms: nowMs(), times: (this.#state.failed?.times ?? 0) + 1 } });
      conditions.raise("backup_failed", reason);
      log("debug", `a backup failed: ${error instanceof Error ? error.stack : reason}`);
      throw error;
    } finally {
      this.#judgeAge();
    }
  }

  async #make(signal: AbortSignal): Promise<Made> {
    const { hostname, nowMs, log } = this.#options;
    const place = this.#folder.begin(this.#options.storeBytes());
    try {
      const manifest = await this.#options.make(place, signal);
      const position = String(manifest.content["position"]);
      const own = this.#options.hashAt(position);
      if (own !== undefined && own !== manifest.content["head"]) {
        throw new Fault(
          "data_corrupt",
          `The copy has another history than this node: at ${position} ${manifest.content["head"]}, here ${own}`,
          {
            hint: "Look at the disk; `cairn audit --verify` checks the store.",
          },
        );
      }
      const atMs = Math.floor(nowMs() / 1000) * 1000;
      const name = nameOf({ hostname, maker: this.#state.maker, atMs, position });
      if (parseName(name) === undefined) {
        throw new Fault("unavailable", `There is nothing to back up yet (position ${JSON.stringify(position)})`, {
          hint: "A node that joins has its store once the fleet let it in.",
        });
      }
      const path = this.#folder.finish(place, name);
      const made = madeOf(name, atMs, manifest);
      this.#remember({ made });
      log("info", `backed up ${made.contexts} contexts at ${position} to ${path} (${made.bytes} bytes, checked)`);
      return made;
    } finally {
      this.#folder.clean();
    }
  }

  async #send(bucket: Bucket, made: Made, signal: AbortSignal): Promise<void> {
    if (this.#state.sent?.name === made.name) return;
    const path = join(this.#folder.path, made.name);
    await bucket.send(made.name, path, readManifest(path), signal);
    this.#remember({ sent: { name: made.name, at_ms: this.#options.nowMs() } });
    this.#options.log("info", `sent ${made.name} to ${bucket.place}`);
  }

  /** Takes away what the rule does not keep, here and in the bucket, of this maker alone. */
  async #tidy(signal: AbortSignal): Promise<void> {
    const { keep } = this.#options;
    for (const backup of surplusOf(this.#folder.own(), keep)) this.#folder.remove(backup);
    if (this.#bucket === undefined) return;
    const own = ({ maker }: BackupName): boolean => maker === this.#state.maker;
    const { whole, broken } = await this.#bucket.list(signal);
    for (const backup of [...surplusOf(whole.filter(own), keep), ...broken.filter(own)])
      await this.#bucket.remove(backup, signal);
  }

  #isDue(): boolean {
    const { made, sent, failed } = this.#state;
    if (failed !== null) {
      const pauseMs = backoffMs(failed.times, RETRY);
      const sinceMs = this.#options.nowMs() - failed.at_ms;
      // Below zero the clock was set back.
      if (sinceMs >= 0 && sinceMs < pauseMs) return false;
    }
    const isUnsent =
      this.#bucket !== undefined &&
      made !== null &&
      sent?.name !== made.name &&
      this.#folder.own().some(({ name }) => name === made.name);
    return this.#isMakeDue() || (isUnsent && this.#schedule !== undefined);
  }

  #isMakeDue(): boolean {
    return this.#schedule !== undefined && this.#schedule.next(this.#baseMs()) <= this.#options.nowMs();
  }

  /** From when the schedule counts on: the last good one, or the first sight of this folder. A time that is still to come was a wrong clock's. */
  #baseMs(): number {
    const baseMs = this.#state.made?.at_ms ?? this.#state.since_ms;
    return baseMs > this.#options.nowMs() ? this.#startedMs : baseMs;
  }

  #judgeAge(): void {
    const { conditions, nowMs } = this.#options;
    let due = this.#baseMs();
    for (let period = 0; period < OLD_PERIODS; period += 1) due = this.#schedule?.next(due) ?? Number.POSITIVE_INFINITY;
    const { made } = this.#state;
    if (nowMs() <= due) conditions.clear("backup_old");
    else conditions.raise("backup_old", made === null ? "there is none yet" : `the last good one is ${made.name}`);
  }

  #remember(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    writeState(this.#options.dataDir, this.#state);
  }

  #lookIn(delayMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => {
      void this.look()
        .catch((error: unknown) => this.#options.log("error", `looking after backups failed: ${reasonOf(error)}`))
        .finally(() => this.#lookIn(LOOK_MS));
    }, delayMs);
    this.#timer.unref();
  }

  #wantBucket(): Bucket {
    if (this.#bucket !== undefined) return this.#bucket;
    throw new Fault("not_found", "This node has no bucket for backups", {
      hint: "Set backup.s3_url, backup.s3_bucket and the keys (docs/settings.md).",
    });
  }
}

/** Bytes of a file and what lies beside it in its write-ahead log. */
export function storeBytesOf(path: string): number {
  return [path, `${path}-wal`].reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

function madeOf(name: string, atMs: number, { file, content }: Manifest): Made {
  return {
    name,
    at_ms: atMs,
    position: String(content["position"]),
    bytes: file.bytes,
    contexts: Number(content["contexts"]),
    sha256: file.sha256,
  };
}

function busy(): Fault {
  return new Fault("unavailable", "A backup is being made now", { hint: "Try again in a minute." });
}
