// The duty of the leader that keeps as many copies of each blob as its row wants: it compares what the log says of
// holders with what members have, copies again what was lost, and says what cannot be read.

import { counted } from "../../lib/counted.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import { BLOB_LEVEL } from "../../operation/blob-references.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { Reader } from "../../store/store.ts";
import { blobHolders, MAX_HELD } from "./add.ts";
import type { Blobs } from "./blobs.ts";
import type { blobConditions } from "./conditions.ts";
import { MAX_ASKED } from "./peer-paths.ts";
import { holdersOf } from "./rows.ts";

const LOOK_MS = 30_000;
/** A holder that does not answer for so long is replaced, in ms. */
const AWAY_MS = 600_000;

/** A blob over all spaces. */
interface Kept {
  sha256: string;
  bytes: number;
  copies: number;
}

interface Held {
  sha256: string;
  member: string;
}

/** What members were found to have: those that answered, with what they lack. */
type Found = ReadonlyMap<string, ReadonlySet<string>>;

export interface KeepCopiesOptions {
  blobs: Blobs;
  members: FullMembers;
  reader: Reader;
  log: () => Pick<Log, "propose">;
  conditions: ConditionsOf<keyof typeof blobConditions>;
  say: LogLine;
  nowMs: () => number;
}

/** Keeps the copies while its node leads. */
export class KeepCopies {
  readonly #options: KeepCopiesOptions;
  /** When members that do not answer last did, in ms; as many as there are members. */
  readonly #answered = new Map<string, number>();

  constructor(options: KeepCopiesOptions) {
    this.#options = options;
  }

  /** The duty: looks again and again until the signal aborts. */
  lead({ signal }: Lead): void {
    void this.#lookUntil(signal);
  }

  /** Looks at all blobs once. Returns how many have too few copies, and how many cannot be read. */
  async look(signal: AbortSignal): Promise<{ degraded: number; lost: number }> {
    const { reader, conditions } = this.#options;
    const sum = { degraded: 0, lost: 0 };
    if (levelOf(reader) < BLOB_LEVEL) return sum;
    for (let after = ""; ; ) {
      const page = reader.all<Kept>(
        "SELECT sha256, max(bytes) AS bytes, max(copies) AS copies FROM blobs WHERE sha256 > ? GROUP BY sha256 ORDER BY sha256 LIMIT +?",
        after,
        MAX_ASKED,
      );
      const last = page.at(-1);
      if (last === undefined) break;
      const { degraded, lost } = await this.#lookAt(page, signal);
      sum.degraded += degraded;
      sum.lost += lost;
      after = last.sha256;
    }
    if (sum.lost === 0) conditions.clear("blobs_lost");
    else conditions.raise("blobs_lost", `${counted(sum.lost, "blob")} on no member that answers`);
    if (sum.degraded === 0) conditions.clear("blobs_degraded");
    else conditions.raise("blobs_degraded", `${counted(sum.degraded, "blob")} on fewer members than wanted`);
    return sum;
  }

  async #lookUntil(signal: AbortSignal): Promise<void> {
    const ends = AbortSignal.any([signal, this.#options.blobs.stopped]);
    while (!ends.aborted) {
      await pause(LOOK_MS, ends).catch(() => {});
      if (ends.aborted) break;
      await this.look(ends).catch((error: unknown) => {
        if (!ends.aborted) this.#options.say("warning", `copies of blobs were not looked at: ${reasonOf(error)}`);
      });
    }
    this.#options.conditions.clear("blobs_lost");
    this.#options.conditions.clear("blobs_degraded");
  }

  async #lookAt(page: readonly Kept[], signal: AbortSignal): Promise<{ degraded: number; lost: number }> {
    const { reader, blobs } = this.#options;
    const found = await this.#ask(page, signal);
    const sum = { degraded: 0, lost: 0 };
    const gained: Held[] = [];
    const gone: Held[] = [];
    for (const blob of page) {
      const { sha256 } = blob;
      const listed = holdersOf(reader, sha256);
      const present = [...found].filter(([, missing]) => !missing.has(sha256)).map(([node]) => node);
      const away = listed.filter((node) => !found.has(node) && this.#mayComeBack(node));
      const add = (node: string) => gained.push({ sha256, member: node });
      for (const node of present) if (!listed.includes(node)) add(node);
      for (const node of listed) {
        const isMissing = found.has(node) ? !present.includes(node) : !away.includes(node);
        // The only member that may have it stays in the list for as long as it is a member.
        const isLast = present.length === 0 && this.#answered.has(node) && !found.has(node);
        if (isMissing && !isLast) gone.push({ sha256, member: node });
      }
      const wanted = blobs.copier.possible(blob.copies);
      if (present.length === 0) sum.lost += 1;
      else if (present.length < wanted) {
        sum.degraded += 1;
        if (present.length + away.length >= wanted) continue;
        const holders = await blobs.copier.copy({ ...blob, holders: present }, signal).catch(() => present);
        for (const node of holders) if (!present.includes(node)) add(node);
        if (holders.length >= wanted) sum.degraded -= 1;
      }
    }
    await this.#propose(gained, gone);
    return sum;
  }

  /** Asks all full members which of these blobs they lack. */
  async #ask(page: readonly Kept[], signal: AbortSignal): Promise<Found> {
    const { blobs, members, nowMs } = this.#options;
    const others = members.others();
    const answers = await Promise.all(
      others.map(({ node }) => blobs.peers.check(node, page, signal).catch(() => undefined)),
    );
    signal.throwIfAborted();
    const found = new Map<string, ReadonlySet<string>>();
    const missing = page.filter(({ sha256, bytes }) => blobs.folder.sizeOf(sha256) !== bytes);
    found.set(members.self(), new Set(missing.map(({ sha256 }) => sha256)));
    for (const [index, answer] of answers.entries()) {
      const node = others[index]?.node ?? "";
      if (answer !== undefined) {
        found.set(node, new Set(answer.missing));
        this.#answered.set(node, nowMs());
      } else if (!this.#answered.has(node)) this.#answered.set(node, nowMs());
    }
    for (const node of this.#answered.keys())
      if (!others.some((other) => other.node === node)) this.#answered.delete(node);
    return found;
  }

  /** Reports whether a holder that did not answer still counts: it is a member, and was not away for long. */
  #mayComeBack(node: string): boolean {
    const answered = this.#answered.get(node);
    return answered !== undefined && this.#options.nowMs() - answered < AWAY_MS;
  }

  async #propose(gained: readonly Held[], gone: readonly Held[]): Promise<void> {
    for (let at = 0; at < Math.max(gained.length, gone.length); at += MAX_HELD) {
      const input = { found: gained.slice(at, at + MAX_HELD), lost: gone.slice(at, at + MAX_HELD) };
      await this.#options.log().propose(nodeCommand(blobHolders, input));
    }
  }
}
