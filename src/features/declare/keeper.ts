// The leader's duty: judges each new version of the contexts that declare something, and puts what it found into the
// log. What is wrong is a condition of the leader while it lasts.

import type { Caller } from "../../access/caller.ts";
import { spaceOf } from "../../access/space.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Changes } from "../../log/changes.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Command } from "../../log/log.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { DeclaredKind } from "../../operation/declared-kind.ts";
import { DECLARE_LEVEL, type DeclaredRow, declaredRow, declaredRows } from "../../operation/declared-rows.ts";
import type { Reader } from "../../store/store.ts";
import type { declareConditions } from "./conditions.ts";
import { declaredBy, judgeText, MAX_DECLARED } from "./judge.ts";
import { declarationSettle, MAX_SETTLED, MAX_SETTLED_TEXT, type Settled } from "./settle.ts";
import { Touched } from "./touched.ts";

/** Changes that come close together are looked at once, in ms. */
const GATHER_MS = 50;
/** After a failure, and below the fleet level, in ms. */
const AGAIN_MS = 5000;
/** Ids of one call of context_get_many. */
const MAX_IDS = 256;
const MAX_SAID = 480;
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

/** Judges while its node leads. */
export class Keeper {
  readonly #options: KeeperOptions;

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
    const found = new Map<string, Found>();
    for await (const each of this.#read(ids, signal)) found.set(each.id, each);
    const known = ids === "all" ? declaredRows(reader).map(({ id }) => id) : [...ids];
    const gone = known.filter((id) => !found.has(id) && declaredRow(reader, id) !== undefined);
    const news = [
      ...gone.map((id): Settled => ({ id, version: 0, hash: "", problem: "", text: "" })),
      ...this.#judge([...found.values()], ids === "all"),
    ];
    for (const part of inParts(news)) {
      signal.throwIfAborted();
      const { name, v } = declarationSettle;
      await this.#options.propose({ name, v, input: { settled: part }, caller: "node", via: "", key: "" });
    }
    this.#tell();
  }

  /** Yields the contexts that all readers of the space may read. */
  async *#read(ids: ReadonlySet<string> | "all", signal: AbortSignal): AsyncGenerator<Found> {
    if (ids === "all") {
      for (const { place } of this.#options.kinds) yield* this.#pages({ prefix: `fleet/${place}/` }, signal);
      return;
    }
    const all = [...ids];
    for (let at = 0; at < all.length; at += MAX_IDS) yield* this.#pages({ ids: all.slice(at, at + MAX_IDS) }, signal);
  }

  async *#pages(wanted: Record<string, unknown>, signal: AbortSignal): AsyncGenerator<Found> {
    let cursor: string | undefined;
    do {
      const input = { ...wanted, ...(cursor === undefined ? {} : { cursor }) };
      const page = (await this.#options.ask("context_get_many", input, LOCAL, signal)) as {
        contexts: (Found & { visibility?: string })[];
        cursor?: string;
      };
      yield* page.contexts.filter(({ visibility }) => visibility === undefined);
      ({ cursor } = page);
    } while (cursor !== undefined);
  }

  /** Returns the judgements that the log does not have. `again`: also of what a build refused before. */
  #judge(found: readonly Found[], again: boolean): Settled[] {
    const { kinds, reader } = this.#options;
    const inForce = new Map<string, number>();
    for (const { id, version } of declaredRows(reader)) {
      const { kind = "" } = declaredBy(kinds, id)?.kind ?? {};
      if (version > 0) inForce.set(kind, (inForce.get(kind) ?? 0) + 1);
    }
    return found.flatMap(({ id, version, content }) => {
      const declared = declaredBy(kinds, id);
      if (declared === undefined || spaceOf(id) !== "fleet") return [];
      const hash = sha256Hex(content);
      const row = declaredRow(reader, id);
      const isSame = row?.judged === version && row.judged_hash === hash;
      if (isSame && (row.problem === "" || !again)) return [];
      const { kind } = declared.kind;
      const judged = judgeText(declared.kind, declared.name, content);
      let problem = "problem" in judged ? judged.problem : "";
      const isNew = row === undefined || row.version === 0;
      const count = (inForce.get(kind) ?? 0) + (isNew ? 1 : 0);
      if (problem === "" && count > MAX_DECLARED)
        problem = `there are ${MAX_DECLARED} of its kind already, which is the most`;
      if (problem === "") inForce.set(kind, count);
      if (isSame && row.problem === problem) return [];
      return [{ id, version, hash, problem, text: problem === "" ? content : "" }];
    });
  }

  /** Says what is wrong as a condition. */
  #tell(): void {
    const { reader, conditions } = this.#options;
    const refused = declaredRows(reader).filter(({ problem }) => problem !== "");
    if (refused.length === 0) {
      conditions.clear("declaration_refused");
      return;
    }
    const said = printableLine(refused.map(wordsOf).join("; "));
    const more = said.length > MAX_SAID ? `… (${refused.length} in all)` : "";
    conditions.raise("declaration_refused", `${said.slice(0, MAX_SAID)}${more}`);
  }
}

/** Returns what is wrong with a declaration, in words. */
export function wordsOf({ id, judged, problem, version }: DeclaredRow): string {
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
