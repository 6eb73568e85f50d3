// A full member and an edge in one process: real stores, invokers, feed and cache, and frames as they go between nodes.
// The test controls the link between them and the clock.

import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { Edge, type EdgeSettings, edgeMigrations, FeedServer, feedRequest } from "../../src/cache/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { SleepClock } from "../../src/lib/sleep-clock.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { type Answer, olderBy } from "../../src/operation/answer.ts";
import { changeRulesOf, migrationsOf, operationsOf } from "../../src/operation/derive.ts";
import { edgeModes } from "../../src/operation/edge-modes.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { capOf } from "../../src/operation/routing.ts";
import { ANYONE } from "../../src/operation/viewer.ts";
import { faultOfValue, faultValue } from "../../src/peer/fault-frame.ts";
import { decodeFrame, encodeFrame } from "../../src/peer/frames.ts";
import { Store } from "../../src/store/store.ts";
import { type Core, startCore } from "./core.ts";
import { temporaryFolder } from "./temporary.ts";

/** A clock that moves only when the test moves it. */
export function handClock(startMs = 1_000_000): SleepClock & { add(ms: number): void; wallMs(): number } {
  let ms = startMs;
  return {
    nowMs: () => ms,
    wallMs: () => 1_800_000_000_000 + ms,
    since: "test",
    stepMs: 0,
    add: (more) => {
      ms += more;
    },
  };
}

export interface EdgePairOptions {
  settings?: Partial<EdgeSettings>;
  /** What the edge's member row says; undefined where it is not a member. */
  enrolled?: readonly string[];
  /** The newest level that the build of the edge knows, as the upstream has it; left out: that of this build. */
  level?: number;
  /** The fleet's level as the edge knows it; left out: that of this build. */
  fleetLevel?: number;
  clock?: ReturnType<typeof handClock>;
  /** Folder of the edge's store, to open it again. */
  folder?: string;
  upstream?: Core;
  /** Features besides contexts, on both. */
  features?: readonly Feature[];
  access?: Parameters<typeof startCore>[0];
  /** Whether the control server answers; left out: it does. */
  controlAnswers?: () => boolean;
  /** Full members that the edge knows. All of them serve the feed of the one upstream. */
  nodes?: readonly string[];
  witnessMs?: number;
}

const EDGE = "nEDGE";

/** Opens them; the feed is followed only once a test starts it or takes responses by hand. */
export function startEdgePair(options: EdgePairOptions = {}) {
  const { clock = handClock(), features: further = [] } = options;
  const features = [contextFeature, ...further];
  const folder = options.folder ?? temporaryFolder();
  const upstream = options.upstream ?? startCore({ folder: temporaryFolder(), nowMs: clock.wallMs, features });
  let enrolled: readonly string[] | undefined = options.enrolled ?? ["*"];
  let upstreamAgeMs = 0;
  /** Whether answers to reads carry that age. */
  let hasAge = true;
  /** What happens to a call, on its way there or back. */
  let link: (
    path: "feed" | "forward",
    deliver: () => Promise<unknown>,
    node: string,
    /** Of a forward: to the node that leads, or to that which this edge reads from. */
    to?: "leader" | "upstream",
  ) => Promise<unknown> = (_path, deliver) => deliver();
  const server = new FeedServer({
    log: upstream.log,
    reader: upstream.store.reader,
    enrolled: () => enrolled,
    isPublic: (change) =>
      changeRulesOf(features).get(change.operation)?.(change, ANYONE, upstream.store.reader) !== false,
    levelOf: () => options.level ?? KNOWN_LEVEL,
    members: () => [],
    modes: () => edgeModes(upstream.store.reader),
    fleet: () => "f1",
    ageMs: () => upstreamAgeMs,
    nowMs: clock.nowMs,
  });
  const asked: string[] = [];
  const inputs: Record<string, unknown>[] = [];
  const store = Store.open({
    folder: join(folder, "edge"),
    migrations: edgeMigrations(migrationsOf([...new Set([...FEATURES, ...further])])),
    log: () => {},
  });
  const edge = new Edge({
    store,
    settings: { spaces: [], maxBytes: 1024 * 1024, maxStaleMs: 60_000, maxRightsAgeMs: 600_000, ...options.settings },
    controlAnswers: options.controlAnswers ?? (() => true),
    nodes: () => options.nodes ?? ["nCENTRAL"],
    ...(options.witnessMs === undefined ? {} : { witnessMs: options.witnessMs }),
    roundTripMs: () => 1,
    reads: features.flatMap(({ edge: reads = [] }) => reads),
    writes: operationsOf(features).filter((operation) => operation.kind === "write"),
    clock,
    wallMs: clock.wallMs,
    ask: (node, request, { signal, timeoutMs }) =>
      raced(
        link(
          "feed",
          async () => {
            const value = feedRequest.parse(decodeFrame(encodeFrame(request)));
            return decodeFrame(encodeFrame(await asPeer(server.serve(EDGE, value, signal))));
          },
          node,
        ),
        AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      ),
    forward: async ({ operation, input, caller, client, agentKey }, to, signal) => {
      const sentMs = clock.nowMs();
      const answer = (await raced(
        link(
          "forward",
          async () => {
            inputs.push(input);
            asked.push(`${operation} ${String(input["id"] ?? "")}`);
            const forwarded = { via: EDGE, ...capOf({ role: "edge", spaces: enrolled ?? [] }) };
            const answer = await upstream.invoker.invoke({
              operation,
              input,
              caller,
              ...(client === undefined ? {} : { client }),
              ...(agentKey === undefined ? {} : { agentKey }),
              signal,
              surface: "peer",
              forwarded,
            });
            const { output, position } = answer;
            return { output, position, by: "nCENTRAL", ...(hasAge ? { ageSeconds: upstreamAgeMs / 1000 } : {}) };
          },
          "nCENTRAL",
          to,
        ),
        signal,
      )) as Answer;
      return olderBy(answer, clock.nowMs() - sentMs);
    },
  });
  const core = startCore({
    ...options.access,
    features,
    folder: temporaryFolder(),
    nowMs: clock.wallMs,
    wrapLog: () => edge.log,
    routing: () => ({
      mode: () => (edge.log.ready() ? "edge" : "waiting"),
      hasOtherNodes: () => true,
      self: () => EDGE,
      fleetLevel: () => options.fleetLevel ?? KNOWN_LEVEL,
      leader: () => ({ node: "nCENTRAL", name: "central" }),
      forward: (call, to, signal) => edge.forward(call, to, signal),
      readCached: (call) => edge.readCached(call),
      refuseFollow: (spaces) => edge.refuseFollow(spaces),
      isCurrent: () => edge.state.acknowledged.isCurrent(),
      acknowledge: (position) => edge.state.acknowledged.add(position),
    }),
  });
  const invoke = (operation: string, input: Record<string, unknown>, caller: Caller) =>
    core.invoker.invoke({ operation, input, caller, signal: AbortSignal.timeout(20_000) });
  return {
    upstream,
    edge,
    core,
    clock,
    folder,
    /** Forwards that reached the upstream: `operation id`. */
    asked,
    /** Their arguments. */
    inputs,
    invoke,
    enrol: (spaces: readonly string[] | undefined) => {
      enrolled = spaces;
    },
    setUpstreamAge: (ms: number) => {
      upstreamAgeMs = ms;
    },
    /** From now on answers have no age, as those of a node to which nothing is proved. */
    forgetAge: () => {
      hasAge = false;
    },
    setLink: (next: typeof link) => {
      link = next;
    },
    /** Requests the feed once and takes the response at once. */
    poll: async (holdMs = 0): Promise<void> => {
      const sentMs = clock.nowMs();
      const answer = await server.serve(EDGE, edge.state.request(holdMs), AbortSignal.timeout(5000));
      edge.state.apply(answer, { sentMs, tookMs: clock.nowMs() - sentMs, from: "nCENTRAL" });
    },
    /** Returns what the upstream responds now, to be taken later. */
    pull: () => server.serve(EDGE, edge.state.request(0), AbortSignal.timeout(5000)),
    close: async (): Promise<void> => {
      await edge.stop();
      await core.close();
      store.close();
      if (options.upstream === undefined) await upstream.close();
    },
  };
}

export type EdgePair = ReturnType<typeof startEdgePair>;

/** Returns a Fault as it comes from a peer. */
async function asPeer<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw faultOfValue(faultValue(error));
  }
}

function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const gone = Promise.withResolvers<never>();
  const silent = new Fault("unavailable", "The node nCENTRAL did not answer", { facts: { outcome: "maybe_sent" } });
  const leave = () => gone.reject(signal.reason instanceof Fault ? signal.reason : silent);
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  work.catch(() => {});
  return Promise.race([work, gone.promise]).finally(() => signal.removeEventListener("abort", leave));
}
