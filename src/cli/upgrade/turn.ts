// The turn of this node in an upgrade of the whole fleet: one full member restarts at a time, only while all others
// serve, and the one that leads comes last and hands the lead over first.

import type { NodeReport } from "../../fleet/index.ts";
import { FAULTS, Fault } from "../../lib/fault.ts";
import { listed } from "../../lib/listed.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { askNode } from "../client.ts";
import type { Invocation } from "../command.ts";
import { HeldLease } from "../lease/held-lease.ts";
import { cell, say } from "../output.ts";
import { isOlder } from "./executable.ts";

/** The lease that the member holds whose turn it is. Not in `fleet`: what needs admin rights is never forwarded. */
export const TURN = "default/cairn-upgrade";
/** Between two looks while others are waited for, in ms. */
const LOOK_MS = 3000;
const GIVE_BACK_TRIES = 10;
/** So long a member that was killed in its turn holds up the others; it is renewed while the turn lasts. */
const TURN_SECONDS = 120;
/** A member whose last report is older is taken for one that does not serve. */
const MAX_REPORT_AGE_SECONDS = 15;

/** What is waited for, and how long. */
export interface TurnWanted {
  /** The version that this node is to get. */
  version: string;
  waitMs: number;
  signal: AbortSignal;
}

/** A turn that this node has. */
export interface Turn {
  /** Throws Fault `lease_lost` where another member may have it already. */
  throwIfLost(): void;
  /** Gives it to the next member. Never rejects. */
  end(): Promise<void>;
}

/** For a node that needs no turn. */
export const NO_TURN: Turn = { throwIfLost: () => {}, end: async () => {} };

/** A turn whose lease is renewed until its end. */
class HeldTurn implements Turn {
  readonly #lease: HeldLease;
  readonly #over = new AbortController();
  readonly #kept: Promise<void>;
  #lost: unknown;

  constructor(lease: HeldLease) {
    this.#lease = lease;
    this.#kept = lease
      .keep(0, this.#over.signal, () => {})
      .then(
        (lost) => {
          this.#lost = lost;
        },
        (error: unknown) => {
          this.#lost = error;
        },
      );
  }

  throwIfLost(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  async end(): Promise<void> {
    this.#over.abort();
    await this.#kept;
    await giveBack(this.#lease);
  }
}

/**
 * Waits for the turn of this node, and hands the lead over where it leads. A fleet of one and an edge need none.
 * Rejects with Fault `unavailable` that says what was waited for.
 */
export async function takeTurn(invocation: Invocation, wanted: TurnWanted): Promise<Turn> {
  const endMs = performance.now() + wanted.waitMs;
  let told = "";
  for (;;) {
    const leftMs = endMs - performance.now();
    const { turn, waiting } = await tryTurn(invocation, wanted, Math.max(0, leftMs));
    if (turn !== undefined) return turn;
    if (leftMs <= 0)
      throw new Fault("unavailable", `It was not the turn of this node within ${wanted.waitMs / 1000} s: ${waiting}`, {
        hint: "Nothing was changed. Upgrade the other members, or wait for longer with --wait. --alone does not wait.",
      });
    if (waiting !== told) say(`waiting: ${waiting}`);
    told = waiting;
    await pause(Math.min(LOOK_MS, leftMs), wanted.signal);
  }
}

type Tried = { turn: Turn; waiting?: undefined } | { turn?: undefined; waiting: string };

async function tryTurn(invocation: Invocation, wanted: TurnWanted, leftMs: number): Promise<Tried> {
  const { version, signal } = wanted;
  try {
    const before = await reportOf(invocation, signal);
    if (before.role === "edge" || fullMembers(before).length < 2) return { turn: NO_TURN };
    // Without holding the turn: those who are waited for need it.
    const reason = reasonToWait(before, version);
    if (reason !== undefined) return { waiting: reason };
    const waitSeconds = Math.min(60, Math.floor(leftMs / 1000));
    const lease = await HeldLease.acquire(
      invocation,
      { name: TURN, ttlSeconds: TURN_SECONDS, purpose: `Upgrade to ${version}`, waitSeconds },
      signal,
    );
    const turn = new HeldTurn(lease);
    try {
      const now = await reportOf(invocation, signal);
      const still = reasonToWait(now, version);
      if (still === undefined) {
        if (leads(now)) await askNode(invocation, "fleet_transfer", {}, { signal });
        return { turn };
      }
      await turn.end();
      return { waiting: still };
    } catch (error) {
      await turn.end();
      throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Fault && (FAULTS[error.code].retryable || error.code === "lease_held"))
      return { waiting: error.message };
    throw error;
  }
}

/** A node that has just started may not reach the leader at once. */
async function giveBack(lease: HeldLease): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await lease.release();
    } catch (error) {
      const mayPass = error instanceof Fault && FAULTS[error.code].retryable;
      if (!mayPass || tries >= GIVE_BACK_TRIES) return say(`${TURN} ends by itself: ${reasonOf(error)}`);
      await pause(LOOK_MS);
    }
  }
}

async function reportOf(invocation: Invocation, signal: AbortSignal): Promise<NodeReport> {
  // The node has checked its answer against the output schema.
  return (await askNode(invocation, "node_status", {}, { signal })).body as unknown as NodeReport;
}

type Member = NodeReport["members"][number];

function fullMembers({ members }: NodeReport): Member[] {
  return members.filter(({ role, state }) => role !== "edge" && state === "active");
}

function leads(report: NodeReport): boolean {
  return report.members.some(({ self, leader }) => self && leader);
}

/** Returns why this node must not restart now; undefined: it may. */
export function reasonToWait(report: NodeReport, version: string): string | undefined {
  const others = fullMembers(report).filter(({ self }) => !self);
  const away = others.filter(({ age_seconds: age }) => age === null || age > MAX_REPORT_AGE_SECONDS);
  if (away.length > 0) return `${namesOf(away)} did not report lately, and a fleet needs most of its members`;
  if (report.fleet.leader === "") return "no leader is known";
  const older = leads(report) ? others.filter((each) => isOlder(each.version, version)) : [];
  if (older.length > 0) return `this node leads, and the leader comes last: ${namesOf(older)} to be upgraded before`;
  return undefined;
}

function namesOf(members: readonly Member[]): string {
  return listed(members.map(({ name }) => cell(name)));
}
