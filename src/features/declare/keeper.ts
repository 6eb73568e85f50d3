// The leader's duty: judges each new version of the contexts that declare something, and puts what it found into the
// log. What is wrong is a condition of the leader while it lasts.

import type { Caller } from "../../access/caller.ts";
import { spaceOf } from "../../access/space.ts";
import { counted } from "../../lib/counted.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Changes } from "../../log/changes.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Command } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { DeclaredKind } from "../../operation/declared-kind.ts";
import { DECLARE_LEVEL, type DeclaredHead, declaredHeads, declaredRow } from "../../operation/declared-rows.ts";
import type { Reader } from "../../store/store.ts";
import type { declareConditions } from "./conditions.ts";
import { declaredBy, judgeText, MAX_DECLARED, MAX_WRONG } from "./judge.ts";
import { declarationSettle, MAX_SETTLED, MAX_SETTLED_TEXT, type Settled } from "./settle.ts";
import { Touched } from "./touched.ts";

/** Changes that come close together are looked at once, in ms. */
const GATHER_MS = 50;
/** After a failure, and below the fleet level, in ms. */
const AGAIN_MS = 5000;
/** Ids of one call of context_get_many. */
const MAX_IDS = 256;
const MAX_SAID = 460;
/** Wrong ones beyond those of the log that are known. */
const MAX_UNKEPT = 1000;
/** The problem of a good one that is one too many. */
const FULL = `there are ${MAX_DECLARED} of its kind already, which is the most`;
const LOCAL: Caller = { kind: "local", id: "local", node: "", login: "", tags: [], own: false, grants: [] };

/** What the keeper needs of its node. */
export interface KeeperOptions {
  kinds: readonly DeclaredKind[];
  reader: Reader;
  changes: () => Changes;
  /** Calls an operation as the admin of this machine; returns its output. */
  ask: (operation: string, input: Record<string, unknown>, caller: Caller, signal: AbortSignal) => Promise<unknown>;
  propose: (command: Command) => Promise<unknown>;
  conditions: ConditionsOf<keyof typeof declareConditions>;
  say: LogLine;
}

/** A context as context_get_many returns it. */
interface Found {
  id: string;
  version: number;
  content: string;
}

/** Declarations of a kind. */
interface Count {
  /** That are in force. */
  good: number;
  /** Of which no version is. */
  wrong: number;
}

/** Judges while its node leads. */
export class Keeper {
  readonly #options: KeeperOptions;
  /** Wrong ones that have no row, because there are so many. */
  readonly #unkept = new Set<string>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    if (this.#options.kinds.length > 0) void this.#keep(signal);
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { kinds, changes, reader, say, conditions } = this.#options;
    const touched = new Touched(changes(), ({ target }) =>
      declaredBy(kinds, target) === undefined ? undefined : target,
    );
    let left: ReadonlySet<string> | "all" = "all";
    while (!signal.aborted) {
      try {
        if (levelOf(reader) < DECLARE_LEVEL) {
          await pause(AGAIN_MS, signal);
          continue;
        }
        if (left === "all" || left.size > 0) await this.settle(left, signal);
        left = new Set();
        await touched.wait(signal);
        await pause(GATHER_MS, signal);
        left = touched.take();
      } catch (error) {
        if (signal.aborted || changes().ended) break;
        say("warning", `declarations are judged later: ${reasonOf(error)}`);
        left = "all";
        await pause(AGAIN_MS, signal).catch(() => {});
      }
    }
    conditions.clear("declaration_refused");
  }

  /** Judges these contexts as they are now, or all, and proposes what differs from the log. */
  async settle(ids: ReadonlySet<string> | "all", signal: AbortSignal): Promise<void> {
    const { reader } = this.#options;
    const known = ids === "all" ? declaredHeads(reader).map(({ id }) => id) : [...ids];
    const gone = new Set(known.filter((id) => declaredRow(reader, id) !== undefined));
    for (const id of ids === "all" ? [...this.#unkept] : ids) this.#unkept.delete(id);
    // Page by page: all texts together may be more than the memory of a small machine.
    for await (const page of this.#read(ids, signal)) {
      for (const { id } of page) gone.delete(id);
      await this.#propose(this.#judge(page, ids === "all"), signal);
    }
    const ended = [...gone].map((id): Settled => ({ id, version: 0, hash: "", problem: "", text: "" }));
    await this.#propose(ended, signal);
    const waiting = this.#waiting();
    if (waiting.size > 0)
      for await (const page of this.#read(waiting, signal)) await this.#propose(this.#judge(page, true), signal);
    this.#tell();
  }

  async #propose(news: readonly Settled[], signal: AbortSignal): Promise<void> {
    for (const part of inParts(news)) {
      signal.throwIfAborted();
      await this.#options.propose(nodeCommand(declarationSettle, { settled: part }));
    }
  }

  /** Yields the contexts that all readers of the space may read, in pages. */
  async *#read(ids: ReadonlySet<string> | "all", signal: AbortSignal): AsyncGenerator<Found[]> {
    if (ids === "all") {
      for (const { place } of this.#options.kinds) yield* this.#pages({ prefix: `fleet/${place}/` }, signal);
      return;
    }
    const all = [...ids];
    for (let at = 0; at < all.length; at += MAX_IDS) yield* this.#pages({ ids: all.slice(at, at + MAX_IDS) }, signal);
  }

  async *#pages(wanted: Record<string, unknown>, signal: AbortSignal): AsyncGenerator<Found[]> {
    let cursor: string | undefined;
    do {
      const input = { ...wanted, ...(cursor === undefined ? {} : { cursor }) };
      const page = (await this.#options.ask("context_get_many", input, LOCAL, signal)) as {
        contexts: (Found & { visibility?: string })[];
        cursor?: string;
      };
      yield page.contexts.filter(({ visibility }) => visibility === undefined);
      ({ cursor } = page);
    } while (cursor !== undefined);
  }

  /** Returns the judgements that the log does not have. `again`: also of what was refused before. */
  #judge(found: readonly Found[], again: boolean): Settled[] {
    const { kinds, reader } = this.#options;
    const counts = this.#counts();
    return found.flatMap(({ id, version, content }) => {
      const declared = declaredBy(kinds, id);
      if (declared === undefined || spaceOf(id) !== "fleet") return [];
      const hash = sha256Hex(content);
      const row = declaredRow(reader, id);
      const isSame = row?.judged === version && row.judged_hash === hash;
      if (isSame && (row.problem === "" || !again)) return [];
      const judged = judgeText(declared.kind, declared.name, content);
      let problem = "problem" in judged ? judged.problem : "";
      const count = counts.get(declared.kind.kind) ?? { good: 0, wrong: 0 };
      counts.set(declared.kind.kind, count);
      const isNew = row === undefined || row.version === 0;
      if (problem === "" && isNew && count.good >= MAX_DECLARED) problem = FULL;
      if (problem !== "" && row === undefined && count.wrong >= MAX_WRONG) {
        if (this.#unkept.size < MAX_UNKEPT) this.#unkept.add(id);
        return [];
      }
      this.#unkept.delete(id);
      if (problem === "" && isNew) count.good += 1;
      if (problem === "" && row?.version === 0) count.wrong -= 1;
      if (problem !== "" && row === undefined) count.wrong += 1;
      if (isSame && row.problem === problem) return [];
      return [{ id, version, hash, problem, text: problem === "" ? content : "" }];
    });
  }

  /** Returns how many of each kind are in force, and of how many no version is. */
  #counts(): Map<string, Count> {
    const counts = new Map<string, Count>();
    for (const { id, version } of declaredHeads(this.#options.reader)) {
      const { kind = "" } = declaredBy(this.#options.kinds, id)?.kind ?? {};
      const { good, wrong } = counts.get(kind) ?? { good: 0, wrong: 0 };
      counts.set(kind, version > 0 ? { good: good + 1, wrong } : { good, wrong: wrong + 1 });
    }
    return counts;
  }

  /** Returns what there was no room for, of kinds that have some now. */
  #waiting(): ReadonlySet<string> {
    const { kinds, reader } = this.#options;
    const full = declaredHeads(reader).filter(({ problem, version }) => problem === FULL && version === 0);
    if (full.length === 0 && this.#unkept.size === 0) return new Set();
    const counts = this.#counts();
    const hasRoom = (id: string, what: keyof Count, most: number) =>
      (counts.get(declaredBy(kinds, id)?.kind.kind ?? "")?.[what] ?? 0) < most;
    return new Set([
      ...full.map(({ id }) => id).filter((id) => hasRoom(id, "good", MAX_DECLARED)),
      ...[...this.#unkept].filter((id) => hasRoom(id, "wrong", MAX_WRONG)),
    ]);
  }

  /** Says what is wrong as a condition. */
  #tell(): void {
    const { reader, conditions } = this.#options;
    const refused = declaredHeads(reader).filter(({ problem }) => problem !== "");
    const count = refused.length + this.#unkept.size;
    if (count === 0) {
      conditions.clear("declaration_refused");
      return;
    }
    const said = printableLine(refused.map(wordsOf).join("; "));
    const least = this.#unkept.size >= MAX_UNKEPT ? "or more " : "";
    const more = said.length > MAX_SAID || this.#unkept.size > 0 ? `… (${count} ${least}in all)` : "";
    const plain = `${counted(count, "declaration is", "declarations are")} refused`;
    conditions.raise("declaration_refused", `${said.slice(0, MAX_SAID)}${more}`, { spaces: ["fleet"], plain });
  }
}

/** Returns what is wrong with a declaration, in words. */
export function wordsOf({ id, judged, problem, version }: DeclaredHead): string {
  const stays = version === 0 ? "nothing of it is in force" : `version ${version} stays in force`;
  return `${id} version ${judged}: ${problem} (${stays})`;
}

/** Returns judgements in parts that one command takes. */
function inParts(all: readonly Settled[]): Settled[][] {
  const parts: Settled[][] = [];
  let length = 0;
  for (const each of all) {
    const last = parts.at(-1);
    length += each.text.length;
    if (last === undefined || last.length >= MAX_SETTLED || length > MAX_SETTLED_TEXT) {
      parts.push([each]);
      length = each.text.length;
    } else last.push(each);
  }
  return parts;
}
