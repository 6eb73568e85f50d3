// The row of failover: the leader is killed under load, several times. Measures how long it takes until a write that
// began after the kill is acknowledged, and checks that every acknowledged write is on every full member at the end.

import { within } from "../test/kit/eventually.ts";
import type { Fleet, FleetNode } from "../test/kit/fleet.ts";
import { missing, writeOne } from "./documents.ts";
import { median, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const KILLS = 5;
const QUICK_KILLS = 2;
const GOAL_MS = 3000;
const FIRST_MS = 30_000;
/** Clients at each node, and the pause of a client between two writes. */
const CLIENTS = 2;
const THINK_MS = 5;

export async function failover(bench: Bench, fleet: Fleet): Promise<Row> {
  const kills = bench.idleMs > 10_000 ? KILLS : QUICK_KILLS;
  const writers = new Writers(fleet);
  const tookMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const leader = await fleet.leader();
    await writers.more(50);
    const killedAt = performance.now();
    leader.kill();
    tookMs.push((await within("a write after the kill", writers.firstSince(killedAt), FIRST_MS)) - killedAt);
    bench.say(`leader killed ${kill + 1}/${kills}: ${tookMs.at(-1)?.toFixed(0)} ms to the first acknowledged write`);
    await leader.restart();
    await leader.serving();
    await fleet.caughtUp();
  }
  const acknowledged = await writers.stop();
  await fleet.settle();
  let lost = 0;
  for (const node of fleet.up()) lost += (await missing(await node.socket(), acknowledged)).length;
  const worst = Math.max(...tookMs);
  return {
    what: "leader killed (-9) → first acknowledged write, profile lan",
    against: "–",
    result: `${median(tookMs).toFixed(0)} ms (${Math.min(...tookMs).toFixed(0)}–${worst.toFixed(0)})`,
    goal: `≤ ${GOAL_MS / 1000} s, nothing lost`,
    met: worst <= GOAL_MS && lost === 0,
    detail: `${kills} kills of the leader of 3 voters over WireGuard, ${CLIENTS} clients at each; the worst counts; ${acknowledged.length} acknowledged writes looked for on ${fleet.up().length} nodes, ${lost} lost`,
  };
}

/**
 * Clients that write one document after the other over the local sockets; a write is retried with its key at another
 * node that is up.
 */
class Writers {
  readonly #fleet: Fleet;
  readonly #acknowledged: string[] = [];
  readonly #clients: Promise<void>[];
  readonly #waiting = new Set<(begunAt: number) => void>();
  #running = true;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#clients = fleet
      .up()
      .flatMap((_, at) => Array.from({ length: CLIENTS }, (__, client) => this.#client(at, `${at}-${client}`)));
  }

  /** Resolves with the time at which a write that began at `since` or later was acknowledged. */
  firstSince(since: number): Promise<number> {
    return new Promise((resolve) => {
      const look = (begunAt: number) => {
        if (begunAt < since) return;
        this.#waiting.delete(look);
        resolve(performance.now());
      };
      this.#waiting.add(look);
      // Writes of the clients at the other nodes may have begun before; these did not.
      for (const [at, node] of this.#fleet.up().entries()) void this.#write(() => node, `probe-${since}-${at}`);
    });
  }

  async more(count: number): Promise<void> {
    const wanted = this.#acknowledged.length + count;
    const deadline = performance.now() + FIRST_MS;
    while (this.#acknowledged.length < wanted) {
      if (performance.now() > deadline) throw new Error(`no ${count} writes in ${FIRST_MS} ms\n${this.#fleet.tails()}`);
      await Bun.sleep(10);
    }
  }

  /** Stops them; returns the ids of all acknowledged writes. */
  async stop(): Promise<string[]> {
    this.#running = false;
    await Promise.all(this.#clients);
    return this.#acknowledged;
  }

  async #client(at: number, name: string): Promise<void> {
    for (let turn = 0; this.#running; turn += 1) {
      await this.#write((attempt) => {
        const up = this.#fleet.up();
        return up[(at + attempt) % up.length];
      }, `${name}-${turn}`);
      await Bun.sleep(THINK_MS);
    }
  }

  async #write(nodeOf: (attempt: number) => FleetNode | undefined, name: string): Promise<void> {
    const id = `bench/failover-${name}`;
    const begunAt = performance.now();
    for (let attempt = 0; this.#running; attempt += 1) {
      try {
        const node = nodeOf(attempt);
        if (node === undefined) throw new Error("no node is up");
        await writeOne(await node.socket(), id, id);
        this.#acknowledged.push(id);
        for (const look of [...this.#waiting]) look(begunAt);
        return;
      } catch {
        // The node is dead, or answers that the outcome is unknown: with the key it is one write.
        await Bun.sleep(THINK_MS);
      }
    }
  }
}
