// Several nodes of one fleet in one process: real stores and invokers over one list of commands, real frames between
// their peer servers, and a leadership, lag and links that a test sets. In the product raft orders writes; here the
// test does.

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { Fault } from "../../src/lib/fault.ts";
import { Duties } from "../../src/log/duties.ts";
import { refusedProposal } from "../../src/log/engine/raft/faults.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import type { Command, Leadership, Log } from "../../src/log/log.ts";
import { fullNodeRouting } from "../../src/membership/full-routing.ts";
import type { Tracer } from "../../src/observe/trace/tracer.ts";
import { type ForwardFrame, forwardFrame } from "../../src/operation/forward-frame.ts";
import type { Routing } from "../../src/operation/routing.ts";
import { serveForwarded } from "../../src/operation/serve-forwarded.ts";
import { faultOfValue } from "../../src/peer/fault-frame.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE } from "../../src/peer/frames.ts";
import { type PeerMember, PeerServer } from "../../src/peer/server.ts";
import { type Core, type CoreOptions, callerWith, startCore } from "./core.ts";
import { logWith } from "./log-with.ts";

export type Pair = Awaited<ReturnType<typeof startPair>>;

export interface PairNode {
  /** Member id. */
  id: string;
  core: Core;
  /** What its network map shows of callers. */
  sees: Map<string, Caller>;
  /** While true, applies nothing of the others. */
  behind: boolean;
  /** What the next proposals here do instead of being applied. */
  proposes: "apply" | "refuse" | "lose" | "apply and lose" | "apply and hang";
  /** Why it refuses writes, as with a full disk. */
  full?: Fault;
  /** Applies what it has not applied yet. */
  catchUp(): Promise<void>;
}

export interface PairOptions extends Omit<CoreOptions, "routing" | "wrapLog" | "folder"> {
  /** Roles of the members; default two centrals. */
  roles?: readonly PeerMember["role"][];
  /** Records spans of each node by its id. */
  tracers?: Readonly<Record<string, Tracer>>;
  /** Level of the fleet by which forwards name spans. */
  traceLevel?: number;
  /** When a forward gives up, in ms; that of the product by default. */
  withinMs?: number;
}

/** Opens the nodes `n0`, `n1`, … of which `n0` leads. */
export async function startPair(options: PairOptions = {}) {
  const { roles = ["central", "central"], withinMs, tracers = {}, traceLevel = KNOWN_LEVEL, ...coreOptions } = options;
  const home = mkdtempSync(join(tmpdir(), "cairn-pair-"));
  const first = startCore({ folder: join(home, "n0") });
  await first.close();
  for (const index of roles.keys())
    if (index > 0) cpSync(join(home, "n0"), join(home, `n${index}`), { recursive: true });

  const commands: Command[] = [];
  const members = roles.map((role, index) => ({
    node: `n${index}`,
    name: `cairn-${index}`,
    server: `s${index}`,
    role,
    spaces: role === "edge" ? ["team-a"] : [],
  }));
  /** Server id of the leader; "" for none. */
  let leader = "s0";
  let term = 1;
  const listeners = new Set<() => void>();
  const nodes: PairNode[] = [];
  const servers: PeerServer[] = [];
  const routings: Routing[] = [];
  /** Every frame between nodes: `from to`. */
  const calls: string[] = [];
  const frames: ForwardFrame[] = [];
  const ages = new Map<string, number>();
  /** Replaces the link between two nodes. */
  let link: (from: string, to: string, deliver: () => Promise<unknown>) => Promise<unknown> = (_from, _to, deliver) =>
    deliver();

  const leadershipOf = (index: number): Leadership => ({ leading: leader === `s${index}`, server: leader, term });

  function wrap(index: number): (inner: Log) => Log {
    return (inner) => {
      let applied = 0;
      let turn: Promise<unknown> = Promise.resolve();
      const catchUp = async (upTo = commands.length): Promise<void> => {
        turn = turn.then(async () => {
          while (applied < upTo) {
            const command = commands[applied];
            applied += 1;
            if (command !== undefined) await inner.propose(command).catch(() => {});
          }
        });
        await turn;
      };
      const lead = async (command: Command): ReturnType<Log["propose"]> => {
        await catchUp();
        commands.push(command);
        applied = commands.length;
        const outcome = inner.propose(command);
        await outcome.catch(() => {});
        for (const node of nodes) if (node.id !== `n${index}` && !node.behind) void node.catchUp();
        return outcome;
      };
      const duties = new Duties();
      const takeOver = async (): Promise<void> => {
        duties.end();
        const elected = term;
        if (leader !== `s${index}`) return;
        await catchUp();
        if (leader === `s${index}` && elected === term) duties.begin(term);
      };
      if (leader === `s${index}`) duties.begin(term);
      listeners.add(() => void takeOver());
      queueMicrotask(() => {
        const node = nodes[index];
        if (node !== undefined) node.catchUp = () => catchUp();
      });
      return logWith(inner, {
        leadership: () => leadershipOf(index),
        onLeading: (duty) => duties.on(duty),
        onLeadership: (listener) => {
          const tell = () => listener(leadershipOf(index));
          listeners.add(tell);
          return () => listeners.delete(tell);
        },
        barrier: () => (leader === `s${index}` ? catchUp() : Promise.reject(refusedProposal("not_leader", leader))),
        propose: async (command) => {
          const { proposes } = nodes[index] ?? { proposes: "apply" };
          if (leader !== `s${index}` || proposes === "refuse") throw refusedProposal("not_leader", leader);
          if (proposes === "lose") throw refusedProposal("unknown", leader);
          const outcome = lead(command);
          if (proposes === "apply") return outcome;
          await outcome.catch(() => {});
          if (proposes === "apply and hang") return new Promise<never>(() => {});
          throw refusedProposal("unknown", leader);
        },
      });
    };
  }

  for (const [index, member] of members.entries()) {
    const id = member.node;
    const core = startCore({
      ...coreOptions,
      tracer: tracers[id],
      folder: join(home, id),
      wrapLog: wrap(index),
      writesRefused: () => nodes[index]?.full,
      routing: (log) => {
        const routing = fullNodeRouting({
          log,
          members: {
            get: (node) => members.find((candidate) => candidate.node === node),
            byServer: (server) => members.find((candidate) => candidate.server === server),
            list: () => members,
          },
          self: () => id,
          traces: tracers[id] && { tracer: tracers[id], level: () => traceLevel },
          ...(withinMs === undefined ? {} : { withinMs }),
          stateAge: () => {
            const ms = ages.get(id) ?? 300;
            const startMs = performance.now();
            return Number.isFinite(ms) ? () => ms + performance.now() - startMs : undefined;
          },
          ask: (to, value, { signal }) => {
            calls.push(`${id} ${to}`);
            frames.push(forwardFrame.parse(value));
            return raced(
              link(id, to, () => deliver(id, to, value, signal)),
              signal,
            );
          },
        });
        routings.push(routing);
        return routing;
      },
    });
    nodes.push({ id, core, sees: new Map(), behind: false, proposes: "apply", catchUp: async () => {} });
    const server = new PeerServer({
      members: (node) => members.find((candidate) => candidate.node === node),
      onUnexpected: (error) => `p${core.unexpected.push(error)}`,
    });
    const node = nodes[index];
    server.register(
      "forward",
      serveForwarded({ invoker: core.invoker, callerOf: async (callerId) => node?.sees.get(callerId) }),
    );
    servers.push(server);
  }
  await Promise.resolve();

  /** As the link does it: a frame there, a frame back, a Fault as the peer's. */
  async function deliver(from: string, to: string, value: unknown, signal: AbortSignal): Promise<unknown> {
    const server = servers[members.findIndex(({ node }) => node === to)];
    if (server === undefined) throw new Fault("unavailable", `${to} is not there`, { facts: { outcome: "not_sent" } });
    const request = new Request("http://peer:4747/peer/forward", {
      method: "POST",
      headers: { "content-type": FRAME_TYPE },
      body: encodeFrame(value),
      signal,
    });
    const response = await server.fetch(
      request,
      callerWith({ kind: "tagged", id: from, node: from, login: "", tags: ["tag:cairn"] }),
    );
    const frame = decodeFrame(await response.bytes()) as { value?: unknown };
    const fault = faultOfValue(frame);
    if (fault === undefined) return frame.value;
    throw fault;
  }

  return {
    nodes,
    calls,
    /** What they carried. */
    frames,
    commands,
    /** How old the state of a node may be, in ms; 300 where there is none. */
    ages,
    /** Makes another server the leader, or "" none. */
    elect: (server: string) => {
      leader = server;
      term += 1;
      for (const tell of [...listeners]) tell();
    },
    useLink: (replacement: typeof link) => {
      link = replacement;
    },
    node: (index: number): PairNode => {
      const found = nodes[index];
      if (found === undefined) throw new Error(`no node ${index}`);
      return found;
    },
    /** Sends a frame of one node to the path `forward` of another, as it is. */
    deliver: (from: number, to: number, value: unknown) =>
      deliver(`n${from}`, `n${to}`, value, new AbortController().signal),
    /** The answer of a node that has not checked anything. */
    routingOf: (index: number): Routing => {
      const found = routings[index];
      if (found === undefined) throw new Error(`no node ${index}`);
      return found;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { core } of nodes) await core.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {});
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}
