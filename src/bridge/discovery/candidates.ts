// The nodes that a fleet route may ask, and how each did lately: nodes that were given, nodes that a member named, and
// nodes cached from an earlier run. Which of them is used is decided in discovery/search.ts.

import { backoffMs } from "../../lib/retry.ts";
import type { LogLine } from "../../observe/logging.ts";
import { type AddressSource, type BridgeAddress, type Send, send } from "../endpoint.ts";
import { type FailureKind, resolveAddress } from "../route.ts";
import { type CachedFleet, MAX_MEMBERS, membersIn, readCache, writeCache } from "./member-cache.ts";
import type { ProbeResult } from "./probe.ts";

/** A node that failed is not asked for this long. */
const QUIET = { firstMs: 250, lastMs: 10_000 };
/** A node that cannot serve calls is asked last for this long, in ms. */
const BUSY_MS = 5000;

/** A node that may be asked. */
export interface Candidate {
  /** Its address as people write it; unique. */
  name: string;
  /**
   * `given` nodes say which fleet it is. `optional` ones were given too, but count only if they belong to that fleet.
   * `named` ones come from a member or from the cache, and must belong to it.
   */
  origin: "given" | "optional" | "named";
  send: Send;
}

interface State {
  candidate: Candidate;
  failures: number;
  quietUntilMs: number;
  busyUntilMs: number;
  refused: boolean;
  /** Why it failed; "" while it has not. */
  why: string;
}

/** Where the candidates come from. */
export interface CandidatesOptions {
  given: readonly { name: string; optional?: boolean; address: AddressSource }[];
  /** Returns the address of a member that another member named by its base URL. */
  memberAddress: (base: string) => BridgeAddress | Promise<BridgeAddress>;
  /** Where the members are cached; undefined for nowhere. */
  cacheFile: string | undefined;
  log: LogLine;
}

/** The candidates of one fleet. */
export class Candidates {
  readonly #options: CandidatesOptions;
  readonly #states = new Map<string, State>();
  /** Id of the fleet: from a given node if one responded, else from the cache; "" while unknown. */
  #fleet = "";
  #fleetIsConfirmed = false;
  #cached: CachedFleet | undefined;

  constructor(options: CandidatesOptions) {
    this.#options = options;
    for (const { name, optional, address } of options.given)
      this.#add({ name, origin: optional === true ? "optional" : "given", send: sendTo(address) });
    this.#cached = options.cacheFile === undefined ? undefined : readCache(options.cacheFile, options.log);
    this.#fleet = this.#cached?.fleet ?? "";
    for (const base of this.#cached?.members ?? []) this.#addNamed(base);
  }

  /** Returns the nodes to probe: all, or without those that failed a moment ago unless there are no others. */
  toProbe(all: boolean): Candidate[] {
    const nowMs = performance.now();
    const states = [...this.#states.values()];
    const rested = all ? states : states.filter((state) => state.quietUntilMs <= nowMs);
    return (rested.length === 0 ? states : rested).map(({ candidate }) => candidate);
  }

  /** Records a failure. */
  failed(name: string, kind: FailureKind, why: string): void {
    const state = this.#states.get(name);
    if (state === undefined) return;
    state.why = why;
    state.refused = kind === "refused";
    if (kind === "busy") state.busyUntilMs = performance.now() + BUSY_MS;
    else {
      state.failures += 1;
      state.quietUntilMs = performance.now() + backoffMs(state.failures, QUIET);
    }
  }

  /** Records the result of a probe: a given node says which fleet it is. */
  probed(name: string, { fleet }: ProbeResult): void {
    if (this.#states.get(name)?.candidate.origin !== "given") return;
    this.#fleet = fleet;
    this.#fleetIsConfirmed = true;
  }

  /** Records that a node is used now. */
  used(name: string, { fleet }: ProbeResult): void {
    const state = this.#states.get(name);
    if (state !== undefined) Object.assign(state, { failures: 0, quietUntilMs: 0, refused: false, why: "" });
    if (this.#fleet === "") this.#fleet = fleet;
  }

  isBusy(name: string): boolean {
    return (this.#states.get(name)?.busyUntilMs ?? 0) > performance.now();
  }

  isOfFleet({ origin }: Candidate, { fleet }: ProbeResult): boolean {
    return origin === "given" || this.#fleet === "" || fleet === this.#fleet;
  }

  /** Reports whether calls may be sent to a node. A node that was not given must belong to the fleet. */
  mayUse(candidate: Candidate, result: ProbeResult): boolean {
    if (this.isOfFleet(candidate, result)) return true;
    this.failed(candidate.name, "gone", "it is of another fleet");
    // A restored store is a new fleet: then an optional node is right, and the cached fleet id is outdated.
    return candidate.origin === "optional" && !this.#fleetIsConfirmed;
  }

  /** Replaces the named members by those in a `node_status` response of `namedBy`, and caches them. */
  learn(status: unknown, namedBy: string, fleet: string): void {
    const bases = membersIn(status, namedBy);
    if (bases.length === 0) return;
    for (const [name, { candidate }] of this.#states)
      if (candidate.origin === "named" && name !== namedBy && !bases.includes(name)) this.#states.delete(name);
    for (const base of bases) this.#addNamed(base);
    this.#fleet = fleet;
    const { cacheFile, log } = this.#options;
    const learned = { fleet, members: bases };
    if (cacheFile === undefined || JSON.stringify(learned) === JSON.stringify(this.#cached)) return;
    this.#cached = learned;
    writeCache(cacheFile, learned, log);
  }

  /** Reports whether every node refuses this caller. */
  allRefuse(): boolean {
    return [...this.#states.values()].every(({ refused }) => refused);
  }

  /** Returns why no node is used, for people. */
  reasons(): string {
    const all = [...this.#states.values()].map(
      ({ candidate, why }) => `${candidate.name}: ${why === "" ? "not asked" : why}`,
    );
    return all.length === 0 ? "none is known" : all.join("; ");
  }

  #addNamed(base: string): void {
    // A node that was given by its short name is named by its full one.
    const known = [...this.#states.keys()].some((name) => name === base || isShortFor(name, base));
    if (known) return;
    this.#add({ name: base, origin: "named", send: sendTo(() => this.#options.memberAddress(base)) });
  }

  #add(candidate: Candidate): void {
    if (this.#states.size >= MAX_MEMBERS) return;
    const state = { candidate, failures: 0, quietUntilMs: 0, busyUntilMs: 0, refused: false, why: "" };
    this.#states.set(candidate.name, state);
  }
}

function isShortFor(name: string, base: string): boolean {
  const [short, full] = [name, base].map((each) => (URL.canParse(each) ? new URL(each) : undefined));
  if (short === undefined || full === undefined || short.hostname.includes(".")) return false;
  return full.hostname.startsWith(`${short.hostname}.`) && short.protocol === full.protocol && short.port === full.port;
}

function sendTo(address: AddressSource): Send {
  return async (path, options) => send(await resolveAddress(address), path, options);
}
