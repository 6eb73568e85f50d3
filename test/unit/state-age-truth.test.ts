// A property of full members under any order of elections, votes, commits, lags and late or lost beats: none has less
// than all that was acknowledged before the moment that its age names. The fleet is a model of raft's promises on one
// clock; the beats and what is made of them are real.

import { expect, test } from "bun:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { Beats } from "../../src/fleet/beats/beats.ts";
import { KnownMembers } from "../../src/fleet/members.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Log } from "../../src/log/log.ts";
import { StateAgeTracker } from "../../src/membership/state-age.ts";
import { beat, member, raft } from "../kit/fleet-facts.ts";

const NAMES = ["a", "b", "c", "regional"] as const;
const VOTERS = ["a", "b", "c"];
const MAJORITY = 2;

/** One node of the model: what its raft has, and what its log has heard of it. */
interface Modelled {
  name: string;
  raftTerm: number;
  applied: number;
  told: { node: string; term: number } | undefined;
  begun: boolean;
  beats: Beats;
  age: StateAgeTracker;
}

interface Acknowledged {
  atMs: number;
  term: number;
}

class World {
  nowMs = 10_000;
  /** The change n is at n - 1. */
  readonly acknowledged: Acknowledged[] = [];
  readonly nodes: Modelled[];
  readonly failures: string[] = [];
  readonly #elected: number[] = [];
  readonly #due: { atMs: number; run: () => void }[] = [];

  constructor() {
    const members = new KnownMembers();
    members.set(NAMES.map((name) => member(name, name === "regional" ? "regional" : "central")));
    this.nodes = NAMES.map((name, index) => this.#node(name, index * 1_000_000, members));
    this.elect(0, 1);
    this.begin(0);
  }

  #node(name: string, offMs: number, members: KnownMembers): Modelled {
    // Clocks of different nodes cannot be compared.
    const clockMs = () => this.nowMs + offMs;
    const node: Modelled = {
      name,
      raftTerm: 0,
      applied: 0,
      told: undefined,
      begun: false,
      beats: new Beats({
        members,
        fleetId: () => "f1",
        self: () => `n-${name}`,
        monotonicMs: clockMs,
        nowMs: clockMs,
        beat: async () => {
          node.age.ageMs();
          node.age.record(raft(VOTERS, { term: node.raftTerm }), clockMs());
          const more = { seq: node.applied, begun: node.age.leadingTerm(), raftTerm: node.raftTerm, timeMs: clockMs() };
          return beat(name, { ...more, term: node.told?.term ?? 0, leading: leads(node) });
        },
        link: { call: ({ node: to }, _path, value) => this.#call(node, to, value) },
      }),
      age: new StateAgeTracker({
        log: logOf(() => node),
        self: () => `n-${name}`,
        leader: () => members.get(node.told?.node ?? ""),
        byServer: (server) => members.byServer(server),
        answered: (of) => node.beats.answered(of),
        clock: { nowMs: clockMs, since: "", stepMs: 0 },
      }),
    };
    return node;
  }

  /** Of the next question: how long each way takes. */
  delaysMs: [number, number] = [1, 1];

  #call(from: Modelled, to: string, value: unknown): Promise<unknown> {
    const [there, back] = this.delaysMs;
    const far = this.nodes.find(({ name }) => `n-${name}` === to);
    const answer = Promise.withResolvers<unknown>();
    this.#at(there, () => {
      const asked = far?.beats.answer(`n-${from.name}`, beat(from.name, value as object)) ?? Promise.reject();
      void asked.then((said) => this.#at(back, () => answer.resolve(said)));
    });
    this.#at(3_000, () => answer.reject(new Fault("unavailable", "late")));
    return answer.promise;
  }

  #at(inMs: number, run: () => void): void {
    this.#due.push({ atMs: this.nowMs + inMs, run });
  }

  /** Time passes; what is due meanwhile happens in its order. */
  async pass(ms: number): Promise<void> {
    const until = this.nowMs + ms;
    for (;;) {
      this.#due.sort((one, other) => one.atMs - other.atMs);
      const next = this.#due[0];
      if (next === undefined || next.atMs > until) break;
      this.#due.shift();
      this.nowMs = next.atMs;
      next.run();
      await nextTurn();
      this.judge();
    }
    this.nowMs = until;
    this.judge();
  }

  judge(): void {
    for (const node of this.nodes) {
      const ageMs = node.age.ageMs();
      const missing = this.acknowledged[node.applied];
      if (missing !== undefined && missing.atMs < this.nowMs - ageMs)
        this.failures.push(
          `${node.name} at ${this.nowMs} says ${ageMs}, and lacks change ${node.applied + 1} of ${missing.atMs}`,
        );
    }
  }

  at(index: number): Modelled {
    const node = this.nodes[index % this.nodes.length];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  /** Who was elected, the newest first. */
  led(ago: number): number {
    return this.#elected.at(-1 - ago) ?? 0;
  }

  #voters(): Modelled[] {
    return this.nodes.filter(({ name }) => VOTERS.includes(name));
  }

  async ask(index: number, there: number, back: number): Promise<void> {
    this.delaysMs = [there, back];
    void this.at(index).beats.round();
    await nextTurn();
  }

  /** A voter hears a candidate that is not elected. */
  vote(index: number): void {
    const voter = this.at(index % VOTERS.length);
    voter.raftTerm += 1;
  }

  /** One voter and another one vote for the first; whoever led before hears nothing of it. */
  elect(index: number, other: number): void {
    const winner = this.at(index % VOTERS.length);
    const helper = this.at((index + 1 + (other % (VOTERS.length - 1))) % VOTERS.length);
    const term = Math.max(...this.nodes.map(({ raftTerm }) => raftTerm)) + 1;
    for (const voter of [winner, helper]) voter.raftTerm = term;
    this.#elected.push(index % VOTERS.length);
    winner.told = { node: `n-${winner.name}`, term };
    winner.begun = false;
  }

  /** The voters that a leader still gets answers of, or nobody where they are no majority. */
  #followers(of: Modelled): Modelled[] {
    const { term } = of.told ?? { term: 0 };
    const found = this.#voters().filter(({ raftTerm }) => raftTerm <= term);
    return leads(of) && of.raftTerm === term && found.length >= MAJORITY ? found : [];
  }

  /** The first entry of a leader's own term is applied there. */
  begin(index: number): void {
    const leader = this.at(index);
    if (this.#commit(leader) === 0) return;
    leader.applied = this.acknowledged.length;
    leader.begun = true;
    leader.age.startedLeading(leader.told?.term ?? 0);
  }

  write(index: number): void {
    const leader = this.at(index);
    const term = leader.begun ? this.#commit(leader) : 0;
    if (term === 0) return;
    this.acknowledged.push({ atMs: this.nowMs, term });
    leader.applied = this.acknowledged.length;
  }

  /** Answers the term, or 0 where there is no majority for it. */
  #commit(leader: Modelled): number {
    const term = leader.told?.term ?? 0;
    const followers = this.#followers(leader);
    // Who voted for it, rather than one that has not heard of it.
    const helper = followers.filter((node) => node !== leader).sort((one, other) => other.raftTerm - one.raftTerm)[0];
    if (helper === undefined) return 0;
    helper.raftTerm = term;
    return term;
  }

  /** One change comes to be applied; what brought it named the term of its leader. */
  apply(index: number): void {
    const node = this.at(index);
    const next = this.acknowledged[node.applied];
    if (next === undefined) return;
    node.applied += 1;
    node.raftTerm = Math.max(node.raftTerm, next.term);
  }

  /** A node hears one that leads, or thinks so. */
  hear(index: number, of: number): void {
    const node = this.at(index);
    const leader = this.at(of);
    const term = leader.told?.term ?? 0;
    if (node === leader || !leads(leader) || node.raftTerm > term || term <= (node.told?.term ?? 0)) return;
    node.raftTerm = term;
    node.told = { node: `n-${leader.name}`, term };
    node.begun = false;
  }
}

function leads(node: Modelled): boolean {
  return node.told?.node === `n-${node.name}`;
}

/** What is asked of a log here. */
function logOf(node: () => Modelled): Log {
  const asked: Pick<Log, "leadership" | "position"> = {
    leadership: () => ({ leading: leads(node()), server: "", term: node().told?.term ?? 0 }),
    position: () => ({ epoch: "e", seq: node().applied }),
  };
  return asked as Log;
}

const index = fc.nat({ max: 3 });
/** How many elections ago somebody was elected who is meant: mostly the newest leader. */
const ago = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 2 }) });
/** Most are quick; some come when nobody waits any more. */
const delay = fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 100 }) }, { weight: 1, arbitrary: fc.nat({ max: 6000 }) });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat({ max: 400 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("ask" as const), index, there: delay, back: delay }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("write" as const), ago }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("apply" as const), index }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("hear" as const), index, ago }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("elect" as const), index, of: index }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("begin" as const), ago }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("vote" as const), index }) },
);

test("no full node is younger than it is, whatever comes late, is lost or changes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 200, size: "max" }), async (steps) => {
      const world = new World();
      for (const now of steps) {
        if (now.do === "pass") await world.pass(now.ms);
        else if (now.do === "ask") await world.ask(now.index, now.there, now.back);
        else if (now.do === "hear") world.hear(now.index, world.led(now.ago));
        else if (now.do === "elect") world.elect(now.index, now.of);
        else if (now.do === "write" || now.do === "begin") world[now.do](world.led(now.ago));
        else world[now.do](now.index);
        world.judge();
      }
      expect(world.failures).toEqual([]);
    }),
    { numRuns: 800 },
  );
}, 30_000);

test("in a quiet fleet each node knows within a beat and its way how new it is", async () => {
  const world = new World();
  for (const of of [1, 2, 3]) world.hear(of, 0);
  for (let second = 0; second < 3; second += 1) {
    world.write(0);
    for (const of of [1, 2, 3]) world.apply(of);
    for (const of of [0, 1, 2, 3]) await world.ask(of, 20, 20);
    await world.pass(1000);
  }
  expect(world.failures).toEqual([]);
  for (const node of world.nodes) expect(node.age.ageMs()).toBeLessThanOrEqual(1000);
});
