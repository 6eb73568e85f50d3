// The product of a node, behind all its listeners: store, log, gate, operations of the features, and the surfaces over
// them. A start decides when it is opened and closed; what joins it to a fleet is membership/.

import { Access } from "../access/access.ts";
import { Refusals } from "../access/refusals.ts";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { type DiskWatch, watchDisk } from "../datadir/index.ts";
import { BACKUPS, type BackupReport, reportOf } from "../features/backup/index.ts";
import { REPORTED_HEADS, ROW_CHECKS } from "../features/context/index.ts";
import { placedLimits, VOTERS } from "../features/event/index.ts";
import { FEATURES } from "../features/index.ts";
import {
  allMembers,
  DEVICE_NAMES,
  FLEET_ACTIONS,
  MEMBER_VIEWS,
  type Member,
  type Members,
  type MemberView,
  NODE_RELOAD,
  NODE_REPORT,
  type NodeReport,
  openMembers,
  PENDING,
  type Reloaded,
  type ReportWish,
  readAcknowledgedHeads,
  voterCount,
  withMachines,
} from "../fleet/index.ts";
import type { Closers } from "../lib/closers.ts";
import { FAULTS, type Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { traceFields } from "../lib/trace-context.ts";
import { logUnexpected } from "../lib/unexpected.ts";
import { RaftLog } from "../log/engine/raft/index.ts";
import { CLIENT_LEVEL, levelOf } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import { formatPosition } from "../log/position.ts";
import { presetProblemOf } from "../mcp/index.ts";
import {
  EdgeParts,
  fullNodeRouting,
  type Membership,
  type OwnNode,
  PeerConnection,
  serveFeed,
} from "../membership/index.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import { Metrics } from "../observe/metrics.ts";
import type { Outcome } from "../operation/call.ts";
import type { FailedCall } from "../operation/call-span.ts";
import { CONNECTIONS, type Connections } from "../operation/connections.ts";
import { DECLARED_KINDS } from "../operation/declared-kind.ts";
import {
  agentTableOf,
  changeRulesOf,
  declaredKindsOf,
  eventTypesOf,
  expiringOf,
  operationsOf,
  ownEventsOf,
  searchedOf,
} from "../operation/derive.ts";
import { ExpireDuty } from "../operation/expire-duty.ts";
import type { Feature, Job } from "../operation/feature.ts";
import { fleetLimits } from "../operation/fleet-settings.ts";
import { Invoker, type InvokerOptions } from "../operation/invoke.ts";
import {
  ACCESS,
  CALL_AS,
  FIND_CALLERS,
  type FindCallers,
  FULL_MEMBERS,
  HOLD_STREAM,
  HOST,
  type HostParts,
  LOG,
  NODE,
  REFUSALS,
  TRACER,
  URLS,
} from "../operation/node-parts.ts";
import { OWN_TYPES } from "../operation/own-events.ts";
import { applierOf } from "../operation/registry.ts";
import type { Routing } from "../operation/routing.ts";
import { SEARCH_SOURCES } from "../operation/search-source.ts";
import { callerNamed, serveForwarded } from "../operation/serve-forwarded.ts";
import { Services } from "../operation/services.ts";
import { type SeenMember, SURROUNDINGS } from "../operation/surroundings.ts";
import { PeerServer } from "../peer/server.ts";
import { isDamaged, type Store } from "../store/store.ts";
import { callerLimitsOf } from "./limits.ts";
import type { NodeState } from "./node-state.ts";
import { openLog, openStore } from "./open-log.ts";
import { type OpenSurfaces, openSurfaces } from "./open-surfaces.ts";
import { connectionMetrics, countCalls, registerGauges } from "./report/metrics.ts";
import { nodeReport } from "./report/report.ts";
import { watchFleetSettings } from "./settings-watch.ts";
import { openTracing, type Tracing } from "./tracing.ts";

export interface ProductOptions {
  settings: Settings & { readonly data: string };
  /** Where each setting that is not a default came from. */
  origins: Loaded["origins"];
  conditions: Conditions;
  /** What orders writes: `direct` only in tests of what lies above. */
  engine: "raft" | "direct";
  /** Adds the fixtures of the official MCP suite. */
  conformance: boolean;
  closers: Closers;
  nowMs: () => number;
  /** What the process was started with, and its outbound connection. */
  host: HostParts;
  connections: Connections;
  /** The features of this node; by default those of the build. */
  features?: readonly Feature[];
  state: NodeState;
  node: OwnNode;
  membership: Membership;
  /** For an edge: the members as they were known in an earlier run; undefined for a full member. */
  edge: { knownMembers: readonly Member[] } | undefined;
  /** Finds the callers that `access_explain` is asked about. */
  findCallers: FindCallers;
  /** Reads the settings of the node again; left out where they are from nowhere. */
  reload?: () => Reloaded;
  /** The store can no longer be trusted, or raft has ended: the process must end. */
  onFatal: (fault: Fault) => void;
}

/** The opened parts of a node, and its surfaces over them. */
export interface Product extends Omit<OpenSurfaces, "close"> {
  access: Access;
  store: Store;
  log: Log;
  /** The log where it is raft's: readable now, takes writes once it is started (`startEngine`). */
  raft: RaftLog | undefined;
  /** The parts of an edge in place of a replicated store; undefined on a full member. */
  edge: EdgeParts | undefined;
  members: Members;
  /** Calls to the other nodes of the fleet, once it is connected. */
  link: PeerConnection;
  /** Serves the calls of the other nodes of the fleet. */
  peerServer: PeerServer;
  /** Returns the names of backups that this node knows and that were made before the change `seq`, newest first. */
  backupsBefore: (seq: number) => readonly string[];
  /** Returns the name of the newest backup of this node; "": none. */
  lastBackup: () => string;
  /** Ends open streams and background work. */
  endStreams(): Promise<void>;
}

/** The parts that are made before the log. */
interface Foundation extends ProductOptions {
  features: readonly Feature[];
  link: PeerConnection;
  edgeParts: EdgeParts | undefined;
  store: Store;
  refusals: Refusals;
  access: Access;
  services: Services;
  /** Undefined where the settings name no collector of traces. */
  tracing: Tracing | undefined;
}

/** Opens the store and everything over it, and adds each part to `closers`. Throws Faults of the store. */
export function openProduct(options: ProductOptions): Product {
  const { membership, closers } = options;
  const base = openFoundation(options);
  const { services, store, edgeParts, link, access } = base;
  // On an edge features have no store to maintain.
  const active = edgeParts === undefined ? base.features : [];
  for (const feature of active) feature.open?.(services);
  const operations = operationsOf(base.features, services);
  const apply = () => applierOf(operations, agentTableOf(base.features), ownEventsOf(base.features));
  const log = edgeParts?.edge.log ?? openLog({ ...base, apply: apply() });
  closers.add("log", () => log.close());
  services
    .provide(LOG, log)
    .provide(NODE_REPORT, (wish) => statusOf(base, log, wish))
    .provide(MEMBER_VIEWS, () => membership.views({ settings: options.settings, store, log }))
    .provide(SURROUNDINGS, {
      control: () => controlOf(options.state),
      members: async () => seenBy(await services.get(MEMBER_VIEWS)()),
    });
  const disk = watchDisk(options.settings.data, store, options.conditions);
  closers.add("disk watch", () => disk.stop());
  const jobs = startFeatures(active, { services, log, closers });
  if (edgeParts === undefined)
    closers.add("settings watch", watchFleetSettings({ ...base, reader: store.reader, changes: log.changes }));
  const members = edgeParts?.members ?? openMembers(store.reader, log.changes);
  const routing = edgeParts?.routing ?? routingOf(base, { log, members });
  const metrics = new Metrics();
  const invoker = openInvoker(base, { operations, log, routing, disk, onOutcome: countCalls(metrics) });
  services.provide(CALL_AS, (call) => invoker.invoke(call));
  services.provide(HOLD_STREAM, (caller) => invoker.holdStream(caller));
  const stopMetrics = registerGauges(metrics, {
    ...base,
    invoker,
    fleet: () => membership.partNow(),
    backups: () => backupsOf(services),
    cache: () => edgeParts?.edge.report(),
  });
  closers.add("metrics", stopMetrics);
  for (const feature of active) feature.metrics?.(metrics, services);
  const peerServer = openPeerServer(base, { log, members, invoker, active });
  const served = servedOf(base, peerServer);
  const surfaces = openSurfaces({ ...base, invoker, log, members, routing, metrics });
  connectionMetrics(metrics, () => surfaces.connections());
  base.tracing?.metrics(metrics);
  return {
    ...surfaces,
    served,
    access,
    store,
    log,
    raft: log instanceof RaftLog ? log : undefined,
    edge: edgeParts,
    members,
    link,
    peerServer,
    backupsBefore: (seq) => services.find(BACKUPS)?.namesBefore(seq) ?? [],
    lastBackup: () => services.find(BACKUPS)?.report().last?.name ?? "",
    endStreams: async () => {
      // A running backup would hold the end up until it is made.
      await Promise.all([surfaces.close(), ...jobs.map((job) => job.stop())]);
    },
  };
}

/** Opens the paths that features answer themselves, for callers, and on full members for other members. */
function servedOf(
  { edgeParts, features, services }: Foundation,
  peerServer: PeerServer,
): NonNullable<Product["served"]> {
  return features.flatMap(({ served: paths }) => {
    if (paths === undefined) return [];
    const prefix = paths.route.path;
    if (edgeParts !== undefined)
      return paths.openOnEdge === undefined ? [] : [{ prefix, server: paths.openOnEdge(services) }];
    const server = paths.open(services);
    peerServer.serve(prefix, server);
    return [{ prefix, server }];
  });
}

function openFoundation(options: ProductOptions): Foundation {
  const { settings, conditions, closers, nowMs, features = FEATURES, edge, membership } = options;
  const link = new PeerConnection();
  const tracing = openTracing({ ...options, nodeId: () => options.node.id() });
  closers.add("traces", () => tracing?.close());
  const tracer = tracing?.tracer;
  const controlAnswers = () => options.state.status()?.control === "connected";
  const edgeParts =
    edge === undefined
      ? undefined
      : new EdgeParts({ ...options, ...edge, controlAnswers, link, directory: membership, tracer });
  const store = edgeParts?.store ?? openStore({ ...options, features });
  const refusals = new Refusals({
    store,
    keepsClients: () => edgeParts !== undefined || levelOf(store.reader) >= CLIENT_LEVEL,
    nowMs,
    onError: (error) => logFor("access")("warning", `refused calls could not be written down: ${String(error)}`),
  });
  closers.add("refusals", () => refusals.close());
  const access = new Access(
    {
      capability: settings["access.capability"],
      defaultRole: settings["access.default_role"],
      admins: settings["access.admins"],
    },
    undefined,
    presetProblemOf(features),
  );
  const services = new Services()
    .provide(NODE, { settings, store, conditions, limits: fleetLimits(store.reader, settings), nowMs })
    .provide(HOST, options.host)
    .provide(CONNECTIONS, options.connections)
    .provide(URLS, () => options.state.urls())
    .provide(ACCESS, access)
    .provide(SEARCH_SOURCES, searchedOf(features))
    .provide(DECLARED_KINDS, declaredKindsOf(features))
    .provide(OWN_TYPES, eventTypesOf(features))
    .provide(REFUSALS, refusals)
    .provide(FIND_CALLERS, options.findCallers)
    .provide(REPORTED_HEADS, () => readAcknowledgedHeads(settings.data))
    .provide(
      ROW_CHECKS,
      features.flatMap(({ verify }) => verify ?? []),
    )
    .provide(VOTERS, () =>
      voterCount(allMembers(store.reader).filter(({ role, server }) => role === "central" && server !== "").length),
    )
    .provide(FULL_MEMBERS, {
      self: () => options.node.id(),
      others: () =>
        allMembers(store.reader).filter(
          ({ role, state, node }) => role !== "edge" && state === "active" && node !== options.node.id(),
        ),
      followed: () => edgeParts?.edge.upstream(),
      ask: (node, path, value, ends) => link.call({ node }, path, value, ends),
      open: (node, path, request) => link.open({ node }, path, request),
      openSocket: (node, path, request) => link.openSocket({ node }, path, request),
      callerOf: (id, from) => callerNamed(id, from, (each) => link.callerOf(each)),
    })
    .provide(PENDING, () => membership.pending())
    .provide(DEVICE_NAMES, () => membership.deviceNames())
    .provide(FLEET_ACTIONS, membership);
  if (options.reload !== undefined) services.provide(NODE_RELOAD, options.reload);
  if (tracer !== undefined) services.provide(TRACER, tracer);
  return { ...options, features, link, edgeParts, store, refusals, access, services, tracing };
}

async function statusOf(base: Foundation, log: Log, { machines, reads }: ReportWish): Promise<NodeReport> {
  const { settings, store, membership, edgeParts, services, nowMs } = base;
  const part = await membership.part({ settings, store, log });
  const views = machines ? await membership.views({ settings, store, log }) : undefined;
  const fleet = views === undefined ? part : { ...part, members: withMachines(part.members, views) };
  return nodeReport({
    ...base,
    position: formatPosition(log.position()),
    backups: backupsOf(services),
    cache: edgeParts?.edge.report(),
    fleet,
    reads,
    nowMs: nowMs(),
  });
}

/** Returns whether the control server answers; undefined before the tailnet has said so. */
function controlOf(state: NodeState): boolean | undefined {
  const control = state.status()?.control;
  return control === undefined || control === "unknown" ? undefined : control === "connected";
}

function seenBy(views: readonly MemberView[]): SeenMember[] {
  return views.map(({ node, name, self, away, machine, role, round_trip_ms: roundTripMs }) => {
    return { node, name, self, away, roundTripMs, labels: machine?.labels, sleeps: role === "edge" };
  });
}

function backupsOf(services: Services): BackupReport | undefined {
  const backups = services.find(BACKUPS);
  return backups && reportOf(backups);
}

/** Starts the duties of features, which run on the leader, and their jobs, which run on every full member. */
function startFeatures(
  features: readonly Feature[],
  { services, log, closers }: { services: Services; log: Log; closers: Closers },
): readonly Job[] {
  const expire = new ExpireDuty({
    reader: services.get(NODE).store.reader,
    log,
    expiring: expiringOf(features),
    onError: (error) => logFor("log")("warning", `expired rows were not removed: ${reasonOf(error)}`),
  });
  log.onLeading((lead) => expire.lead(lead));
  for (const duty of features.flatMap((feature) => feature.duties?.(services) ?? [])) log.onLeading(duty);
  const jobs = features.flatMap((feature) => feature.jobs?.(services) ?? []);
  for (const job of jobs) {
    job.start();
    closers.add(job.name, () => job.stop());
  }
  return jobs;
}

function routingOf(
  { link, node, membership, store, tracing }: Foundation,
  { log, members }: { log: Log; members: Members },
): Routing {
  return fullNodeRouting({
    log,
    members,
    self: () => node.id(),
    ask: (to, value, ends) => link.call({ node: to }, "forward", value, ends),
    stateAge: () => membership.stateAgeFromNow(),
    traces: tracing && { tracer: tracing.tracer, level: () => levelOf(store.reader) },
  });
}

/** Logs that a recorded call failed: the code alone, because a message may have what the caller sent. */
function logFailed({ operation, surface, code, trace }: FailedCall): void {
  const { status } = FAULTS[code];
  const level = status >= 500 ? "warning" : "info";
  logFor("operation")(level, `${operation} failed: ${code}`, { operation, surface, code, ...traceFields(trace) });
}

function openInvoker(
  { settings, features, store, access, refusals, conditions, services, nowMs, tracing }: Foundation,
  {
    disk,
    ...parts
  }: Pick<InvokerOptions, "operations" | "log"> & {
    routing: Routing;
    disk: DiskWatch;
    onOutcome: (outcome: Outcome) => void;
  },
): Invoker {
  return new Invoker({
    ...parts,
    store,
    access,
    agents: agentTableOf(features),
    changeRules: changeRulesOf(features),
    limits: placedLimits(services),
    callerLimits: callerLimitsOf(settings),
    tracer: tracing?.tracer,
    onFailed: logFailed,
    writesRefused: () => disk.refusal(),
    onRefused: (refusal) => refusals.record(refusal),
    nowMs,
    onUnexpected: (error, operation, trace) => {
      if (isDamaged(error)) conditions.raise("store_damaged", String(error));
      return logUnexpected(logFor("operation"), operation, error, traceFields(trace));
    },
  });
}

/**
 * Opens the server for peers. Only full members serve forwarded calls, the feed and the paths of features; membership/
 * adds those of members.
 */
function openPeerServer(
  { edgeParts, link, membership, store, services }: Foundation,
  { log, members, invoker, active }: { log: Log; members: Members; invoker: Invoker; active: readonly Feature[] },
): PeerServer {
  const server = new PeerServer({
    members: (id) => members.get(id),
    ready: () => log.ready(),
    fleet: () => membership.fleetId(),
    onUnexpected: (error, path) => logUnexpected(logFor("peer"), `the peer path ${path}`, error),
  });
  if (edgeParts !== undefined) return server;
  server.register("forward", serveForwarded({ invoker, callerOf: (id) => link.callerOf(id) }));
  const changeRules = changeRulesOf(active);
  serveFeed({ server, log, reader: store.reader, members, changeRules, ageMs: () => membership.stateAgeMs() });
  for (const paths of active.map((feature) => feature.peerPaths?.(services) ?? {}))
    for (const [path, handler] of Object.entries(paths)) server.register(path, handler);
  return server;
}
