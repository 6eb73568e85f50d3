// The parts of an edge in place of a replicated store: its own file, the log that the feed fills, the cache, and the
// routing to full nodes. product.ts puts the same surfaces over them.

import { join } from "node:path";
import { Edge, edgeMigrations, FEED } from "../cache/index.ts";
import type { Settings } from "../config/settings.ts";
import { FEATURES } from "../features/index.ts";
import { KnownMembers, type Member } from "../fleet/index.ts";
import type { Closers } from "../lib/closers.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import { migrationsOf, operationsOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { Forwarder } from "../operation/forwarder.ts";
import type { Routing } from "../operation/routing.ts";
import { notReady } from "../operation/routing-faults.ts";
import { Store } from "../store/store.ts";
import type { OwnNode } from "./own-node.ts";
import type { PeerConnection } from "./peer-connection.ts";

/** Folder of an edge's store inside the data folder. */
export const EDGE_FOLDER = "edge";

/** What beats tell an edge about full nodes. */
export interface UpstreamDirectory {
  /** Returns the measured round trip in ms. */
  roundTripMs(node: string): number | undefined;
  /** Returns the member that orders writes. */
  leader(): { node: string; name: string } | undefined;
}

export interface EdgePartsOptions {
  settings: Settings & { readonly data: string };
  conditions: Conditions;
  closers: Closers;
  link: Pick<PeerConnection, "call">;
  node: OwnNode;
  /** Which full nodes there are, and how near they are. */
  directory: UpstreamDirectory;
  /** The features of this node; left out: those of the build. */
  features?: readonly Feature[] | undefined;
  /** The members as they were known in an earlier run. */
  knownMembers: readonly Member[];
}

/** The parts of an edge. */
export interface EdgeParts {
  store: Store;
  edge: Edge;
  routing: Routing;
  members: KnownMembers;
}

/** How long an upstream may take to answer a forwarded read, in ms. A dead upstream is found sooner by the feed. */
const UPSTREAM_MS = 10_000;

/** How long no full node may answer before the condition is raised, in ms. */
const SAID_MS = 5000;

/** Opens the store of an edge and what works on it. The feed is followed once `edge.start` is called. */
export function openEdgeParts(options: EdgePartsOptions): EdgeParts {
  const { settings, conditions, closers, link, node, directory, knownMembers, features = FEATURES } = options;
  const store = Store.open({
    folder: join(settings.data, EDGE_FOLDER),
    migrations: edgeMigrations(migrationsOf(features)),
    log: logFor("store"),
    // The store can be refilled from upstream.
    sync: "checkpoint",
  });
  closers.add("store", () => store.close());
  const ask = (node: string, path: string, value: unknown, ends: { timeoutMs: number; signal: AbortSignal }) =>
    link.call({ node }, path, value, ends);
  const forwarder = new Forwarder({
    ask: (node, value, ends) => ask(node, "forward", value, ends),
    // A full node that does not lead names the leader.
    leader: () => directory.leader()?.node ?? edge.upstream(),
    leadsHere: () => false,
    onLeader: () => () => {},
  });
  const members = new KnownMembers();
  members.set(knownMembers);
  const away = awayCondition(conditions, () => edge.state.staleSpaces());
  closers.add("upstream condition", away.stop);
  const edge: Edge = new Edge({
    store,
    settings: {
      spaces: settings["cache.spaces"],
      maxBytes: settings["cache.max_bytes"],
      maxStaleMs: settings["cache.max_stale"] * 1000,
    },
    nodes: () =>
      members
        .list()
        .filter(({ role, state }) => role !== "edge" && state === "active")
        .map(({ node }) => node),
    roundTripMs: (node) => directory.roundTripMs(node),
    onTerms: (terms) => members.set(terms.members),
    ask: (node, request, ends) => ask(node, FEED, request, ends),
    reads: features.flatMap(({ edge = [] }) => edge),
    writes: operationsOf(features).filter((operation) => operation.kind === "write"),
    forward: (call, to, signal) => {
      if (to === "leader") return forwarder.toLeader(call, signal);
      const upstream = edge.upstream();
      return upstream === undefined
        ? Promise.reject(notReady())
        : forwarder.toNode(upstream, call, signal, UPSTREAM_MS);
    },
    onUpstream: away.onUpstream,
    onError: (error) => logFor("cache")("warning", `an answer could not be kept on disk: ${String(error)}`),
  });
  closers.add("edge", () => edge.stop());
  const routing: Routing = {
    mode: () => (edge.log.ready() ? "edge" : "waiting"),
    several: () => true,
    self: () => node.id(),
    leader: () => directory.leader(),
    forward: (call, to, signal) => edge.forward(call, to, signal),
    answer: (call) => edge.answer(call),
    refuseFollow: (spaces) => edge.refuseFollow(spaces),
  };
  return { store, edge, routing, members };
}

/** Raises `upstream_away` when no full node has answered for a while. Mostly another one is found at once. */
function awayCondition(conditions: Conditions, staleSpaces: () => readonly string[]) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let said = "";
  const stop = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  const raise = (): void => {
    const served = staleSpaces().join(", ");
    const left = served === "" ? "no space may be served stale" : `served stale: ${served}`;
    conditions.raise("upstream_away", `No full node answers this edge: ${said}; ${left}`);
  };
  const onUpstream = (upstream: string | undefined, reason: string): void => {
    said = reason;
    if (upstream === undefined) {
      timer ??= setTimeout(raise, SAID_MS);
      return;
    }
    stop();
    conditions.clear("upstream_away");
  };
  return { onUpstream, stop };
}
