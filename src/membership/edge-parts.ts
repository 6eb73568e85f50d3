// The parts of an edge in place of a replicated store: its own file, the log that the feed fills, the cache, and the
// routing to full members. product.ts puts the same surfaces over them.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { Edge, edgeMigrations, FEED } from "../cache/index.ts";
import type { Settings } from "../config/settings.ts";
import { FEATURES } from "../features/index.ts";
import { type KnownMembers, type Member, mayLead } from "../fleet/index.ts";
import type { Closers } from "../lib/closers.ts";
import { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import type { Tracer } from "../observe/trace/tracer.ts";
import type { Answer } from "../operation/answer.ts";
import { migrationsOf, operationsOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { Forwarder } from "../operation/forwarder.ts";
import type { ForwardCall, Routing } from "../operation/routing.ts";
import { notReady } from "../operation/routing-faults.ts";
import { Store } from "../store/store.ts";
import { EdgeMembers } from "./edge-members.ts";
import type { OwnNode } from "./own-node.ts";
import type { PeerConnection } from "./peer-connection.ts";
import { removedFault } from "./removal-watch.ts";
import { UpstreamCondition } from "./upstream-condition.ts";

/** Folder of an edge's store inside the data folder. */
export const EDGE_FOLDER = "edge";

/** What an edge knows about full members from beats. */
export interface UpstreamDirectory {
  /** Returns the measured round trip in ms. */
  roundTripMs(node: string): number | undefined;
  /** Returns the member that orders writes. */
  leader(): { node: string; name: string } | undefined;
  /** Returns the fleet's level as far as full members have said it; 0: none has. It never falls. */
  fleetLevel(): number;
}

export interface EdgePartsOptions {
  settings: Settings & { readonly data: string };
  conditions: Conditions;
  closers: Closers;
  link: Pick<PeerConnection, "call">;
  node: OwnNode;
  /** Reports whether the control server of the tailnet answers now. */
  controlAnswers: () => boolean;
  /** Which full members there are, and how near they are. */
  directory: UpstreamDirectory;
  /** The features of this node; left out: those of the build. */
  features?: readonly Feature[] | undefined;
  /** The members as they were known in an earlier run. */
  knownMembers: readonly Member[];
  /** Records spans of forwards. */
  tracer?: Tracer | undefined;
}

/** How long an upstream may take to answer a forwarded read, in ms. A dead upstream is found sooner by the feed. */
const UPSTREAM_MS = 10_000;

/** The parts of an edge. */
export class EdgeParts {
  readonly store: Store;
  readonly members: KnownMembers;
  readonly edge: Edge;
  readonly routing: Routing;
  readonly #forwarder: Forwarder;
  readonly #fleet: EdgeMembers;

  /** Opens the store of an edge and what works on it. The feed is followed once `edge.start` is called. */
  constructor(options: EdgePartsOptions) {
    const { conditions, closers, link, directory } = options;
    this.store = openEdgeStore(options.settings.data, options.features);
    closers.add("store", () => this.store.close());
    this.#fleet = new EdgeMembers(options.knownMembers, (to, request, ends) =>
      link.call({ node: to }, FEED, request, ends),
    );
    closers.add("members", () => this.#fleet.stop());
    this.members = this.#fleet.list;
    this.#forwarder = new Forwarder({
      ask: (to, value, ends) => link.call({ node: to }, "forward", value, ends),
      // A central that does not lead names the leader.
      leader: () => directory.leader()?.node ?? this.#centralToAsk(directory),
      mayLead: (to) => mayLead(this.members.get(to)),
      leadsHere: () => false,
      onLeader: () => () => {},
      traces: options.tracer && { tracer: options.tracer, level: () => directory.fleetLevel() },
    });
    const condition = new UpstreamCondition(conditions, () => this.edge.state.staleSpaces());
    closers.add("upstream condition", () => condition.stop());
    this.edge = this.#openEdge(options, condition);
    closers.add("edge", () => this.edge.stop());
    this.routing = this.#openRouting(options);
  }

  #openEdge(options: EdgePartsOptions, condition: UpstreamCondition): Edge {
    const { settings, link, directory, features = FEATURES } = options;
    return new Edge({
      store: this.store,
      settings: {
        spaces: settings["cache.spaces"],
        maxBytes: settings["cache.max_bytes"],
        maxStaleMs: settings["cache.max_stale"] * 1000,
        maxRightsAgeMs: settings["access.max_stale"] * 1000,
      },
      controlAnswers: options.controlAnswers,
      nodes: () => this.#fullNodes(),
      roundTripMs: (node) => directory.roundTripMs(node),
      onTerms: (terms, from) => this.#fleet.take(terms, from),
      ask: (node, request, ends) => link.call({ node }, FEED, request, ends),
      reads: features.flatMap(({ edge = [] }) => edge),
      writes: operationsOf(features).filter((operation) => operation.kind === "write"),
      forward: (call, to, signal) => this.#forward(call, to, signal),
      onUpstream: (upstream, reason) => condition.update(upstream, reason),
      onError: (error) => logFor("cache")("warning", `the file of the cache could not be written: ${String(error)}`),
    });
  }

  #openRouting({ node, directory, conditions }: EdgePartsOptions): Routing {
    const { edge } = this;
    return {
      mode: () => (edge.log.ready() ? "edge" : "waiting"),
      whyWaiting: () => (conditions.has("removed_from_fleet") ? removedFault() : undefined),
      hasOtherNodes: () => true,
      self: () => node.id(),
      fleetLevel: () => directory.fleetLevel(),
      leader: () => directory.leader(),
      forward: (call, to, signal) => edge.forward(call, to, signal),
      readCached: (call) => edge.readCached(call),
      refuseFollow: (spaces) => edge.refuseFollow(spaces),
      isCurrent: () => edge.state.acknowledged.isCurrent(),
      acknowledge: (position) => edge.state.acknowledged.add(position),
    };
  }

  /** Returns the members that an edge may follow. */
  #fullNodes(): string[] {
    return this.members
      .list()
      .filter(({ role, state }) => role !== "edge" && state === "active")
      .map(({ node }) => node);
  }

  /** Returns the central to ask while no leader is known: the one that is followed, or the nearest. */
  #centralToAsk(directory: UpstreamDirectory): string | undefined {
    const distance = (node: string): number =>
      node === this.edge.upstream() ? -1 : (directory.roundTripMs(node) ?? Number.MAX_SAFE_INTEGER);
    const centrals = this.members.list().filter(mayLead);
    return centrals.sort((one, other) => distance(one.node) - distance(other.node))[0]?.node;
  }

  async #forward(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "local"> {
    if (to === "leader") return this.#forwarder.toLeader(call, signal);
    const upstream = this.edge.upstream();
    if (upstream === undefined) throw notReady();
    return this.#forwarder.toNode(upstream, call, signal, UPSTREAM_MS);
  }
}

/**
 * Opens the store of an edge. One that a newer build wrote is dropped and begun empty: it is a cache, and an edge that
 * goes back to an older build fills it again from upstream.
 */
export function openEdgeStore(dataDir: string, features: readonly Feature[] = FEATURES): Store {
  const folder = join(dataDir, EDGE_FOLDER);
  const log = logFor("store");
  // The store can be refilled from upstream.
  const open = () =>
    Store.open({ folder, migrations: edgeMigrations(migrationsOf(features)), log, sync: "checkpoint" });
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "data_newer") throw error;
    log("warning", `the cache was written by a newer version of cairn and begins empty: ${error.message}`);
    rmSync(folder, { recursive: true, force: true });
    return open();
  }
}
