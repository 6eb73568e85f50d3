// The product behind every door: store, log, gate, operations, and the surfaces over them. start.ts decides when it is opened and closed.

import { join } from "node:path";
import { Access } from "../access/access.ts";
import { Refusals } from "../access/refusals.ts";
import { createApi } from "../api/index.ts";
import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import { watchDisk } from "../datadir/disk-watch.ts";
import { archiveForks, archiveSuffix } from "../datadir/quarantine.ts";
import { BACKUPS, reportOf } from "../features/backup/index.ts";
import { HEADS_OF_MEMBERS } from "../features/context/index.ts";
import { FEATURES } from "../features/index.ts";
import {
  FLEET_ACTIONS,
  isCandidate,
  type Member,
  type Members,
  NODE_REPORT,
  openMembers,
  PENDING,
  readAcknowledgedHeads,
} from "../fleet/index.ts";
import type { Closers } from "../lib/closers.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { logUnexpected } from "../lib/unexpected.ts";
import { DirectLog } from "../log/engine/direct/index.ts";
import { RaftLog } from "../log/engine/raft/index.ts";
import type { Apply, Log } from "../log/log.ts";
import { stampClock } from "../log/stamp-clock.ts";
import { createMcp } from "../mcp/index.ts";
import { type EdgeParts, openEdgeParts } from "../membership/edge-parts.ts";
import { serveFeed } from "../membership/feed.ts";
import type { FleetView } from "../membership/fleet-view.ts";
import { fullNodeRouting } from "../membership/full-routing.ts";
import { Peers } from "../membership/peers.ts";
import { aboutOf, partOf } from "../membership/views.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import { answerForwarded } from "../operation/answer-forwarded.ts";
import { cleanCopyOf, migrationsOf, operationsOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { Invoker } from "../operation/invoke.ts";
import {
  ACCESS,
  FIND_CALLERS,
  type FindCallers,
  HOST,
  type HostParts,
  LOG,
  NODE,
  REFUSALS,
} from "../operation/node-parts.ts";
import { applierOf } from "../operation/registry.ts";
import { Services } from "../operation/services.ts";
import { isDamaged, Store } from "../store/store.ts";
import { createWeb } from "../web/index.ts";
import { callerLimitsOf, writeLimitsOf } from "./limits.ts";
import type { Surfaces } from "./listeners/listen.ts";
import { nodeMetrics } from "./report/metrics.ts";
import { type NodeFacts, nodeReport } from "./report/report.ts";

/** Where each surface is, for /.well-known/cairn. */
const SURFACES = { rest: "/openapi.json", changes: "/changes", mcp: "/mcp", pages: "/" };

export interface ProductOptions {
  settings: Settings & { readonly data: string };
  conditions: Conditions;
  /** What orders writes: `direct` only in tests of what lies above. */
  engine: "raft" | "direct";
  /** Adds the fixtures of the official MCP suite. */
  conformance: boolean;
  closers: Closers;
  nowMs: () => number;
  facts: Omit<NodeFacts, "conditions" | "position" | "backups" | "cache" | "fleet" | "nowMs">;
  /** What the process was started with, and its way out. */
  host: HostParts;
  /** The features of this node; left out: those of the build. */
  features?: readonly Feature[];
  /** This node as a member of its fleet; undefined while it is on no tailnet. */
  fleet: () => FleetView | undefined;
  /** For an edge: the members as they were known last; undefined for a full node. */
  edge: { knownMembers: readonly Member[] } | undefined;
  /** Finds the callers that `access_explain` is asked about. */
  findCallers: FindCallers;
  /** Whether requests are served now. */
  serving: () => boolean;
  /** The store can no longer be trusted: the process must end. */
  onFatal: (fault: Fault) => void;
}

/** The opened parts of a node, and its surfaces over them. */
export interface Product extends Surfaces {
  access: Access;
  store: Store;
  log: Log;
  /** The log where it is raft's: readable now, written once it is started (`startEngine`). */
  raft: RaftLog | undefined;
  /** What an edge has in place of a replicated store. */
  edge: EdgeParts | undefined;
  members: Members;
  /** The other nodes of the fleet, once `connect`ed. */
  peers: Peers;
  /** Rights of these callers, or of all, may have changed. */
  callersChanged: (ids?: readonly string[]) => void;
  /** Ends open streams with a reason. */
  endStreams: () => Promise<void>;
}

/** Opens the store and everything over it; each part is added to `closers`. Throws Faults of the store. */
export function openProduct(options: ProductOptions): Product {
  const { settings, conditions, closers, facts, nowMs } = options;
  const self = (): string => facts.tailnet()?.self?.id ?? "";
  const edge =
    options.edge === undefined ? undefined : openEdgeParts({ ...options, ...options.edge, peers: () => peers, self });
  const store = edge?.store ?? openStore(options);

  const features = options.features ?? FEATURES;
  const limits = writeLimitsOf(settings);
  const node = new Services();
  const backupReport = () => {
    const backups = node.find(BACKUPS);
    return backups && reportOf(backups);
  };
  const refusals = new Refusals({
    store,
    nowMs,
    onError: (error) => logFor("access")("warning", `refused calls could not be written down: ${String(error)}`),
  });
  closers.add("refusals", () => refusals.close());
  const access = new Access({
    capability: settings["access.capability"],
    defaultRole: settings["access.default_role"],
    admins: settings["access.admins"],
  });
  node
    .provide(NODE, { settings, store, conditions, limits, nowMs })
    .provide(HOST, options.host)
    .provide(ACCESS, access)
    .provide(REFUSALS, refusals)
    .provide(FIND_CALLERS, options.findCallers)
    .provide(HEADS_OF_MEMBERS, () => readAcknowledgedHeads(settings.data))
    .provide(PENDING, () => options.fleet()?.pending() ?? [])
    .provide(FLEET_ACTIONS, () => actionsOf(options.fleet()))
    .provide(NODE_REPORT, async () =>
      nodeReport({
        ...facts,
        conditions,
        nowMs,
        position: () => invoker.position(),
        backups: backupReport,
        cache: edge?.edge.report(),
        fleet: await partOf(options.fleet(), log, store, settings),
      }),
    );
  // An edge holds nothing that features could look after.
  const kept = edge === undefined ? features : [];
  for (const feature of kept) feature.open?.(node);
  const operations = operationsOf(features, node);

  const replicated = edge === undefined && options.engine === "raft";
  const raft = replicated ? openRaft(options, store, applierOf(operations)) : undefined;
  const log = edge?.edge.log ?? raft ?? openDirect(options, store, applierOf(operations));
  closers.add("log", () => log.close());
  node.provide(LOG, log);

  const disk = watchDisk(settings.data, store, conditions);
  closers.add("disk watch", () => disk.stop());
  for (const duty of kept.flatMap((feature) => feature.duties?.(node) ?? [])) log.onLeading(duty);
  const jobs = kept.flatMap((feature) => feature.jobs?.(node) ?? []);
  for (const job of jobs) {
    job.start();
    closers.add(job.name, () => job.stop());
  }

  const members = edge?.members ?? openMembers(store.reader, log.changes);
  const peers = new Peers({
    members: (node) => members.get(node),
    ready: () => log.ready(),
    fleet: () => options.fleet()?.about().fleetId ?? "",
    onUnexpected: (error, path) => logUnexpected(logFor("peer"), `the peer path ${path}`, error),
  });
  const ageMs = (): number => options.fleet()?.stateAgeMs() ?? Number.POSITIVE_INFINITY;
  const routing =
    edge?.routing ??
    fullNodeRouting({
      log,
      members,
      self,
      ask: (node, value, ends) => peers.call({ node }, "forward", value, ends),
      ageMs,
    });

  const metrics = nodeMetrics({
    fleet: () => options.fleet()?.partNow(),
    cache: () => edge?.edge.report(),
    backups: backupReport,
    conditions,
    storePath: () => store.path,
    invoker: () => invoker,
  });
  closers.add("metrics", () => metrics.stop());
  const invoker: Invoker = new Invoker({
    operations,
    store,
    log,
    access,
    limits,
    callerLimits: callerLimitsOf(settings),
    writesRefused: () => disk.refusal(),
    routing,
    onRefused: (refusal) => refusals.record(refusal),
    onOutcome: (outcome) => metrics.onOutcome(outcome),
    nowMs,
    onUnexpected: (error, operation) => {
      if (isDamaged(error)) conditions.raise("store_damaged", String(error));
      return logUnexpected(logFor("operation"), operation, error);
    },
  });
  if (edge === undefined) {
    peers.server.register("forward", answerForwarded({ invoker, callerOf: (id) => peers.callerOf(id) }));
    serveFeed({ server: peers.server, log, reader: store.reader, members, ageMs });
    for (const paths of kept.map((feature) => feature.peerPaths?.(node) ?? {}))
      for (const [path, handler] of Object.entries(paths)) peers.server.register(path, handler);
  }

  const api = createApi({
    invoker,
    features,
    version: buildInfo.version,
    health: () => ({
      // A member that has nothing of its fleet yet takes no calls.
      ready: options.serving() && routing.mode() !== "waiting",
      status: conditions.overall(),
      conditions: conditions.list(),
    }),
    identity: () => ({ ...aboutOf(options.fleet(), store, settings), surfaces: SURFACES }),
    isCandidate: (caller) =>
      isCandidate(caller, facts.tailnet()?.self?.tags ?? [], access.joinRoles(caller)) ||
      members.get(caller.id) !== undefined,
    metrics: () => metrics.text(),
    nowMs,
    onUnexpected: (error) => logUnexpected(logFor("api"), "a request", error),
  });
  const mcp = createMcp({
    invoker,
    features,
    version: buildInfo.version,
    conformance: options.conformance,
    log: logFor("mcp"),
  });
  const web = createWeb({
    invoker,
    version: buildInfo.version,
    secureUrl: () => facts.urls().find((url) => url.startsWith("https://")),
    nowMs,
    onUnexpected: (error) => logUnexpected(logFor("web"), "a page", error),
  });
  return {
    access,
    store,
    log,
    raft,
    edge,
    members,
    peers,
    api,
    mcp,
    web,
    callersChanged: (ids) => {
      api.callersChanged(ids);
      mcp.callersChanged(ids);
      web.callersChanged(ids);
    },
    endStreams: async () => {
      api.close();
      log.changes.end();
      web.close();
      // Who waits for a backup would hold the end up until it is made.
      await Promise.all([mcp.close(), ...jobs.map((job) => job.stop())]);
    },
  };
}

function openStore({ settings, engine, closers, features = FEATURES }: ProductOptions): Store {
  const store = Store.open({
    folder: join(settings.data, "store"),
    migrations: migrationsOf(features),
    log: logFor("store"),
    // Under raft its log is the durable one.
    sync: engine === "raft" ? "checkpoint" : "commit",
  });
  closers.add("store", () => store.close());
  return store;
}

function openRaft(
  { settings, conditions, nowMs, onFatal, fleet, features = FEATURES }: ProductOptions,
  store: Store,
  apply: Apply,
): RaftLog {
  const onJump = (aheadMs: number): void => {
    const text = `The clock of this machine is ${Math.round(aheadMs / 1000)} s ahead of the time that went by`;
    if (aheadMs === 0) conditions.clear("clock_jumped");
    else conditions.raise("clock_jumped", text);
  };
  return new RaftLog({
    store,
    apply,
    stampMs: stampClock({
      nowMs,
      onJump,
      offMs: () => {
        const face = fleet();
        return face === undefined ? 0 : face.clockOffMs();
      },
      lastMs: () => store.reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0,
    }),
    onFatal,
    cleanCopy: cleanCopyOf(features),
    archive: (afterSeq) => archiveSuffix(settings.data, store.reader, afterSeq, nowMs()),
    onJoined: () => archiveReplacedStores(settings.data, store),
  });
}

/** What a joiner held before is whole in `aside/`; the export beside it is for people, so its failure is no reason not to join. */
function archiveReplacedStores(dataDir: string, store: Store): void {
  const log = logFor("store");
  try {
    for (const home of archiveForks(dataDir, store.reader))
      log("info", `what only this node had is written down in ${home}`);
  } catch (error) {
    log("warning", `what only this node had could not be written down: ${String(error)}`);
  }
}

function openDirect({ nowMs, onFatal }: ProductOptions, store: Store, apply: Apply): Log {
  return new DirectLog({ store, apply, nowMs, onFatal: (error) => onFatal(storeFailed(error)) });
}

/** Fault `unavailable` where there is no fleet to do anything to. */
function actionsOf(fleet: FleetView | undefined): FleetView {
  if (fleet !== undefined) return fleet;
  throw new Fault("unavailable", "This node is in no fleet: it is on no tailnet", {
    hint: "Start it with cairn serve.",
  });
}

function storeFailed(cause: unknown): Fault {
  const reason = reasonOf(cause);
  return new Fault("data_corrupt", `The store failed and the node stops: ${reason}`, {
    hint: "Look at the disk of the data folder, then start again; every acknowledged write is on disk.",
    cause,
  });
}
