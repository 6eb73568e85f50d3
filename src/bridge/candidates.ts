// The nodes that `cairn bridge --fleet` may ask, and how each did: given ones, ones that members named, and ones kept from the last time.

import type { LogLine } from "../observe/logging.ts";
import { type BridgeAddress, type Init, send } from "./endpoint.ts";
import { type Kept, MAX_MEMBERS, membersIn, readKept, writeKept } from "./known-members.ts";
import type { Probed } from "./probe.ts";
import { resolve } from "./route.ts";

/** A node that failed is left alone for so long, in ms: the first time, and at most. */
const FIRST_QUIET_MS = 250;
const LONGEST_QUIET_MS = 10_000;
/** A node that cannot serve calls now is asked last for so long, in ms. */
const BUSY_MS = 5000;

/** A node that may be asked. */
export interface Found {
  /** For people, and one for each node. */
  name: string;
  /** `fixed` ones say which fleet it is; `beside` ones stand there unasked and count only if they are of it. */
  from: "fixed" | "beside" | "told";
  send(path: string, init: Init): Promise<Response>;
}

interface State {
  found: Found;
  failures: number;
  quietUntilMs: number;
  busyUntilMs: number;
  shut: boolean;
  why: string;
}

export interface CandidatesOptions {
  given: readonly { name: string; optional?: boolean; address: () => BridgeAddress | Promise<BridgeAddress> }[];
  /** The way to a node that a member named by its base URL. */
  memberAddress: (base: string) => BridgeAddress | Promise<BridgeAddress>;
  /** Where members are kept; undefined keeps none. */
  cacheFile: string | undefined;
  log: LogLine;
}

export class Candidates {
  readonly #options: CandidatesOptions;
  readonly #states = new Map<string, State>();
  /** The fleet's id: of the fixed nodes where one answered, else what was kept. */
  #fleet = "";
  #fleetIsFixed = false;
  #kept: Kept | undefined;

  constructor(options: CandidatesOptions) {
    this.#options = options;
    for (const { name, optional, address } of options.given)
      this.#add({ name, from: optional === true ? "beside" : "fixed", send: sendBy(address) });
    this.#kept = options.cacheFile === undefined ? undefined : readKept(options.cacheFile, options.log);
    this.#fleet = this.#kept?.fleet ?? "";
    for (const base of this.#kept?.members ?? []) this.#addTold(base);
  }

  /** Whom to ask now: all, or without those that failed a moment ago unless there are no others. */
  toAsk(all: boolean): Found[] {
    const nowMs = performance.now();
    const states = [...this.#states.values()];
    const rested = all ? states : states.filter((state) => state.quietUntilMs <= nowMs);
    return (rested.length === 0 ? states : rested).map(({ found }) => found);
  }

  failed(name: string, how: "gone" | "busy" | "shut", why: string): void {
    const state = this.#states.get(name);
    if (state === undefined) return;
    state.why = why;
    state.shut = how === "shut";
    if (how === "busy") state.busyUntilMs = performance.now() + BUSY_MS;
    else {
      state.quietUntilMs = performance.now() + Math.min(FIRST_QUIET_MS * 2 ** state.failures, LONGEST_QUIET_MS);
      state.failures = Math.min(state.failures + 1, 16);
    }
  }

  answered(name: string, { fleet }: Probed): void {
    const state = this.#states.get(name);
    if (state?.found.from !== "fixed") return;
    this.#fleet = fleet;
    this.#fleetIsFixed = true;
  }

  used(name: string, { fleet }: Probed): void {
    const state = this.#states.get(name);
    if (state !== undefined) Object.assign(state, { failures: 0, quietUntilMs: 0, shut: false, why: "" });
    if (this.#fleet === "") this.#fleet = fleet;
  }

  isBusy(name: string): boolean {
    return (this.#states.get(name)?.busyUntilMs ?? 0) > performance.now();
  }

  isOfFleet({ from }: Found, { fleet }: Probed): boolean {
    return from === "fixed" || this.#fleet === "" || fleet === this.#fleet;
  }

  /** Nodes that nobody gave must be of the fleet: an agent's words go there. */
  mayUse(found: Found, probed: Probed): boolean {
    if (this.isOfFleet(found, probed)) return true;
    this.failed(found.name, "gone", "it is of another fleet");
    // Who restored a store has a new fleet; then a node beside is right, and what was kept is old.
    return found.from === "beside" && !this.#fleetIsFixed;
  }

  /** Takes the members that a node named in place of those named before, and keeps them. */
  told(answer: unknown, byName: string, fleet: string): void {
    const bases = membersIn(answer, byName);
    if (bases.length === 0) return;
    for (const [name, { found }] of this.#states)
      if (found.from === "told" && name !== byName && !bases.includes(name)) this.#states.delete(name);
    for (const base of bases) this.#addTold(base);
    this.#fleet = fleet;
    const { cacheFile, log } = this.#options;
    const kept = { fleet, members: bases };
    if (cacheFile === undefined || JSON.stringify(kept) === JSON.stringify(this.#kept)) return;
    this.#kept = kept;
    writeKept(cacheFile, kept, log);
  }

  /** Whether every node answers and refuses this caller. */
  allShut(): boolean {
    return [...this.#states.values()].every(({ shut }) => shut);
  }

  /** Why none is used, for people. */
  reasons(): string {
    const all = [...this.#states.values()].map(({ found, why }) => `${found.name}: ${why === "" ? "not asked" : why}`);
    return all.length === 0 ? "none is known" : all.join("; ");
  }

  #addTold(base: string): void {
    // A node that was given by its short name is told of by its full one.
    const known = [...this.#states.keys()].some((name) => name === base || isShortOf(name, base));
    if (known) return;
    this.#add({ name: base, from: "told", send: sendBy(() => this.#options.memberAddress(base)) });
  }

  #add(found: Found): void {
    if (this.#states.size >= MAX_MEMBERS) return;
    this.#states.set(found.name, { found, failures: 0, quietUntilMs: 0, busyUntilMs: 0, shut: false, why: "" });
  }
}

function isShortOf(name: string, base: string): boolean {
  const [short, full] = [name, base].map((each) => (URL.canParse(each) ? new URL(each) : undefined));
  if (short === undefined || full === undefined || short.hostname.includes(".")) return false;
  return full.hostname.startsWith(`${short.hostname}.`) && short.protocol === full.protocol && short.port === full.port;
}

function sendBy(address: () => BridgeAddress | Promise<BridgeAddress>): Found["send"] {
  return async (path, init) => send(await resolve(address), path, init);
}
