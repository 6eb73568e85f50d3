// Members with probes over one store and log, a clock that the test moves, and a real HTTP server that behaves as told.

import { probeConditions } from "../../src/features/probe/conditions.ts";
import { PROBE } from "../../src/features/probe/declared.ts";
import { probeFeature } from "../../src/features/probe/index.ts";
import { RUNNER, SEEN, Seen } from "../../src/features/probe/parts.ts";
import { Runner } from "../../src/features/probe/runner.ts";
import { Watch } from "../../src/features/probe/watch.ts";
import { environmentFor, runProcess } from "../../src/features/process/index.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { agreesToRun } from "../../src/operation/fleet-run.ts";
import { FULL_MEMBERS, type Outbound } from "../../src/operation/node-parts.ts";
import { type SeenMember, SURROUNDINGS } from "../../src/operation/surroundings.ts";
import { noPeers, startDeclarations } from "./declarations.ts";
import { eventually } from "./eventually.ts";

/** How the server answers now. */
export interface Behaviour {
  status?: number;
  body?: string;
  /** Answers never. */
  hangs?: boolean;
  /** Answers after so long, in ms of the test's clock. */
  slowMs?: number;
}

const START_MS = Date.parse("2026-11-30T12:00:00Z");

/** What is around a member: the test changes it. */
export interface Around {
  control: boolean | undefined;
  members: SeenMember[];
  /** Whether its way out works. */
  out: boolean;
  /** Its setting fleet.run. */
  agreed: string[];
}

/** Starts members with these names; the first leads. */
export function startProbes(names: readonly string[] = ["a"]) {
  /** `nowMs` only goes on; the wall clock is ahead of it by `aheadMs`, which a test sets as somebody sets a clock. */
  const clock = { nowMs: START_MS, aheadMs: 0 };
  const wallMs = () => clock.nowMs + clock.aheadMs;
  const node = startDeclarations({ kinds: [PROBE], others: [probeFeature], nowMs: wallMs });
  const behaviour: Behaviour = {};
  const server = Bun.serve({
    port: 0,
    idleTimeout: 0,
    async fetch() {
      if (behaviour.hangs === true) return new Promise<Response>(() => {});
      clock.nowMs += behaviour.slowMs ?? 0;
      return new Response(behaviour.body ?? "all is well", { status: behaviour.status ?? 200 });
    },
  });
  const url = `http://localhost:${server.port}/`;
  const made = new Map(names.map((name) => [name, memberOf(name)]));
  let leader: string | undefined;
  let missing = { missing: 0, asked: 0 };

  function memberOf(name: string) {
    const around: Around = {
      control: true,
      out: true,
      agreed: [],
      members: names.map((each) => ({
        ...{ node: `n-${each}`, name: each, self: each === name, away: false, roundTripMs: 5, sleeps: false },
        labels: [`of-${each}`, "linux"],
      })),
    };
    const outbound: Outbound = async (to, { headers, signal }) => {
      if (!around.out) throw new Error("the network is unreachable");
      const response = await fetch(to, { headers, signal, redirect: "manual" });
      return new Response(response.body, {
        status: response.status,
        headers: { ...Object.fromEntries(response.headers), ...certificate },
      });
    };
    const runner = new Runner({
      ...{ declarations: node.declarations, reader: node.store.reader, look: async () => {}, log: () => {} },
      control: () => around.control,
      parts: {
        ...{ outbound, tailnet: outbound },
        connections: {
          open: async () => {
            throw new Error("connection refused");
          },
          roots: () => [],
        },
        readSecret: (reference) => `value of ${reference}`,
        resolve: async (name_) => (name_ === "good.example" ? ["192.0.2.1"] : []),
        members: () => around.members,
        agrees: (name_, labels) => agreesToRun(around.agreed, { kind: "probe", name: name_, labels }),
        run: async (argv, values, timeoutMs, signal) => {
          const spec = { argv, env: environmentFor(process.env, { values }), cwd: "/" };
          const { end, output } = await runProcess(spec, { timeoutMs, signal, graceMs: 100 });
          return { code: end.code, stdout: output.stdout.text(), stderr: output.stderr.text(), latencyMs: 0 };
        },
        missing: async () => missing,
        nowMs: wallMs,
        monotonicMs: () => clock.nowMs,
      },
    });
    const conditions = new Conditions(() => {}, wallMs, probeConditions);
    const watch = new Watch({
      ...{ runner, declarations: node.declarations, reader: node.store.reader, say: () => {} },
      members: () => around.members,
      ask: async (to) => {
        const other = [...made].find(([each]) => `n-${each}` === to)?.[1];
        if (other === undefined || other.isSilent || !other.runner.isReady) throw new Error("no answer");
        return other.runner.reports("member");
      },
      propose: (command) => node.log.propose(command),
      conditions: conditions.of(probeConditions),
      nowMs: wallMs,
      monotonicMs: () => clock.nowMs,
    });
    return { around, runner, watch, conditions, isSilent: false };
  }
  const certificate: Record<string, string> = {};
  const member = (name: string) => made.get(name) as ReturnType<typeof memberOf>;
  const lead = (name: string) => {
    if (leader !== undefined) member(leader).runner.lead(false);
    leader = name;
    member(name).runner.lead(true);
    member(name).watch.begin();
  };
  const first = names[0] ?? "a";
  node.services.provide(RUNNER, member(first).runner).provide(SEEN, new Seen(node.services));
  node.services
    .provide(FULL_MEMBERS, { self: () => `n-${first}`, others: () => [], ...noPeers() })
    .provide(SURROUNDINGS, { control: () => true, members: async () => member(first).around.members });
  lead(first);
  /** One look of every member and of the leader, with all checks that it begins. */
  const look = async () => {
    for (const { runner } of made.values()) await runner.look();
    await eventually("checks end", () => [...made.values()].every(({ runner }) => runner.running === 0), { stepMs: 1 });
    if (leader !== undefined) await member(leader).watch.look(new AbortController().signal);
  };
  return {
    ...node,
    ...{ clock, behaviour, url, certificate, member, lead, look },
    setMissing: (found: typeof missing) => {
      missing = found;
    },
    /** Takes a member's process anew: what it had in memory is gone. */
    restart: (name: string) => void made.set(name, memberOf(name)),
    /** Lets seconds pass in steps, with a look after each. */
    pass: async (seconds: number, stepSeconds = 5) => {
      for (let passed = 0; passed < seconds; passed += stepSeconds) {
        clock.nowMs += stepSeconds * 1000;
        await look();
      }
    },
    /** Declares a probe of the server, and waits until it is in force. */
    declareProbe: async (name: string, more: object = {}) => {
      const content = { type: "http", target: url, interval: 10, retry: 5, timeout: 1, ...more };
      const { version } = await node.call("context_put", { id: `fleet/probes/${name}`, content });
      await eventually(
        `${name} is in force`,
        () => {
          return node.declarations.list(PROBE).some((each) => each.name === name && each.version === version);
        },
        { seen: () => node.conditionText("declaration_refused") },
      );
    },
    /** Ends a declaration, and waits until it is no longer in force. */
    remove: async (name: string) => {
      await node.call("context_delete", { id: `fleet/probes/${name}` });
      await eventually(`${name} ends`, () => !node.declarations.list(PROBE).some((each) => each.name === name));
    },
    /** The states in the log, as `name state cause`, with the node where it is not the leader. */
    states: () =>
      node.store.reader
        .all<{ name: string; node: string; state: string; cause: string }>(
          "SELECT * FROM probe_states ORDER BY name, node",
        )
        .map((row) => [row.name, row.node, row.state, row.cause].filter((each) => each !== "").join(" ")),
    /** The outcomes of all transitions, oldest first. */
    outcomes: () =>
      node.store.reader
        .all<{ outcome: string }>("SELECT outcome FROM changes WHERE operation = 'probe_transition' ORDER BY seq")
        .map(({ outcome }) => outcome),
    [Symbol.asyncDispose]: async () => {
      for (const { runner } of made.values()) await runner.stop();
      server.stop(true);
      await node[Symbol.asyncDispose]();
    },
  };
}
