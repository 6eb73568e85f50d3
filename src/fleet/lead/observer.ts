// The leader's look at the members for events: who leads, who is down, which conditions hold, how backups went. What
// differs from what the log has is proposed, once it was the same in two looks.

import { reasonOf } from "../../lib/reason-of.ts";
import type { Command } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { LogLine } from "../../observe/logging.ts";
import { type Beats, beatOf } from "../beats/beats.ts";
import type { Members } from "../members.ts";
import type { Member } from "../rows.ts";
import { fleetObserve, MAX_OBSERVED, type Observed, STATES_LEVEL } from "../states.ts";

/** Between two looks, in ms. */
const LOOK_MS = 5_000;
/** The part of a target that names the leader. */
const LEADER = "leader";
/** The condition of a node whose last backup failed (features/backup/conditions.ts). */
const BACKUP_FAILED = "backup_failed";

export interface ObserverOptions {
  members: Pick<Members, "list">;
  beats: Pick<Beats, "view">;
  self: () => string;
  leading: () => boolean;
  level: () => number;
  /**
   * Reports whether what is observed is published, and the store has been used: a first change would keep a new node
   * from giving its store up for another fleet.
   */
  isWanted: () => boolean;
  /** Returns what the log has (`allStates`). */
  states: () => ReadonlyMap<string, string>;
  propose: (command: Command) => Promise<unknown>;
  monotonicMs: () => number;
  log: LogLine;
}

/** Looks while its node leads. Call `tick` once a second. */
export class Observer {
  readonly #options: ObserverOptions;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** What differed at the last look, as text. */
  #before: ReadonlySet<string> = new Set();
  #isBusy = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** Looks if it is time. Never rejects. */
  async tick(): Promise<void> {
    const { leading, level, isWanted, monotonicMs, log } = this.#options;
    if (!leading()) this.#before = new Set();
    if (this.#isBusy || !leading() || monotonicMs() - this.#lookedMs < LOOK_MS) return;
    if (level() < STATES_LEVEL || !isWanted()) return;
    this.#lookedMs = monotonicMs();
    this.#isBusy = true;
    try {
      await this.#look();
    } catch (error) {
      log("debug", `what was observed of members is kept later: ${reasonOf(error)}`);
    } finally {
      this.#isBusy = false;
    }
  }

  async #look(): Promise<void> {
    const found = this.#differing();
    const stable = found.filter((each) => this.#before.has(JSON.stringify(each))).slice(0, MAX_OBSERVED);
    this.#before = new Set(found.map((each) => JSON.stringify(each)));
    if (stable.length === 0) return;
    await this.#options.propose(nodeCommand(fleetObserve, { observed: stable }));
  }

  /** Returns what is not as the log has it. */
  #differing(): Observed[] {
    const kept = this.#options.states();
    const now = new Map(this.#now().map((each) => [each.target, each]));
    const news = [...now.values()].filter(({ target, value }) => (kept.get(target) ?? "") !== value);
    const over = [...kept.keys()].filter((target) => !now.has(target)).flatMap((target) => this.#overFor(target));
    return [...news, ...over];
  }

  /** A condition that is no longer said ends where its member says others; what was of a former member is removed. */
  #overFor(target: string): Observed[] {
    const { members, beats, self } = this.#options;
    const [, what, node = "", code] = target.split("/");
    if (!members.list().some((member) => member.node === node)) return [{ target, value: "", outcome: "removed" }];
    const view = { ...beats.view(), self: self() };
    const isHeard = node === view.self || !view.isAway(node);
    // Another one leads now: that is said by its own row.
    if (what === LEADER) return [{ target, value: "", outcome: "removed" }];
    if (what !== "health" || code === undefined || !isHeard) return [];
    return [{ target, value: "", outcome: "cleared" }];
  }

  #now(): Observed[] {
    const { members, beats, self } = this.#options;
    const view = { ...beats.view(), self: self() };
    const list = members.list();
    // Alone it always leads, and notes nothing.
    const full = list.filter(({ role }) => role !== "edge").length;
    const leads: Observed = { target: `fleet/${LEADER}/${view.self}`, value: "leads", outcome: "leads" };
    return [...list.flatMap((member) => observe(member, view)), ...(full > 1 ? [leads] : [])];
  }
}

function observe({ node, role }: Member, view: ReturnType<Beats["view"]> & { self: string }): Observed[] {
  const isAway = node !== view.self && view.isAway(node);
  const health = `fleet/health/${node}`;
  const state: Observed = isAway
    ? { target: health, value: "down", outcome: "down" }
    : { target: health, value: "", outcome: "up" };
  // Edges are programs of people's machines, which sleep.
  const upOrDown = role === "edge" ? [] : [state];
  const beat = beatOf(view, node);
  if (isAway || beat === undefined) return upOrDown;
  const conditions = beat.conditions
    .filter((code) => /^[a-z0-9_]+$/.test(code))
    .map((code): Observed => ({ target: `${health}/${code}`, value: "raised", outcome: "raised" }));
  return [...upOrDown, ...conditions, ...backupOf(node, beat)];
}

function backupOf(node: string, { backup = "", conditions }: { backup?: string | undefined; conditions: string[] }) {
  const target = `fleet/backups/${node}`;
  const failed: Observed = { target, value: "failed", outcome: "failed" };
  const done: Observed = { target, value: backup, outcome: "done" };
  if (conditions.includes(BACKUP_FAILED)) return [failed];
  return backup === "" ? [] : [done];
}
