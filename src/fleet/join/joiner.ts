// The joining node's side of a join: finds the fleet, makes sure that it is the right one, and asks its leader until it
// is admitted, refused or stopped. Never begins a fleet.

import { randomBytes } from "node:crypto";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { Peer } from "../../tailnet/index.ts";
import { ABOUT, type About, aboutShape } from "../about.ts";
import type { FleetRole } from "../rows.ts";
import { type Admitted, admitted, JOIN, proved } from "./admit.ts";
import { hashOf, nameOf, proofOf, refuseOtherRole, sameProof, type Ticket } from "./ticket.ts";

/** Calls a peer; Faults as of peer/link.ts. */
export interface Ask {
  call(
    target: { node: string },
    path: string,
    value: unknown,
    options: { timeoutMs: number; signal: AbortSignal; maxBytes?: number },
  ): Promise<unknown>;
}

export interface JoinerOptions {
  link: Ask;
  peers: () => Promise<readonly Peer[]>;
  /** `auto`, or a name of one node: hostname, MagicDNS name, address or StableNodeID. */
  host: string;
  /** Name of the fleet that `auto` looks for; with a named host undefined means any. */
  fleet: string | undefined;
  /** Id of the fleet, if it is known; no other is accepted. */
  fleetId?: string | undefined;
  /** The role it asks for; undefined: that of its ticket or approval. */
  role: FleetRole | undefined;
  ticket: Ticket | undefined;
  name: () => string;
  version: string;
  level: number;
  /** What this node held as a member and keeps until it is admitted, as a sentence; undefined where it held nothing. */
  kept?: string | undefined;
  /** Opens this node's raft member for the fleet and returns its server id; "" for an edge. May be called again. */
  serverFor: (fleet: About) => Promise<string>;
  conditions: Conditions;
  /** Shows a line on the terminal, once for each new text. */
  say: (line: string) => void;
  /** Time between two scans or two requests, in ms. */
  stepMs?: number;
  /** How long one of several candidates may take, in ms. */
  candidateMs?: number;
}

const STEP_MS = 2_000;
const LOOK_MS = 3_000;
const ASK_MS = 15_000;
/** How long one of several candidates may take: each of them may be a stranger that never answers. */
const CANDIDATE_MS = 5_000;
/** Candidates that are asked for their proof at the same time. */
const PROOFS_AT_ONCE = 8;
const LOOKS_AT_ONCE = 8;
/** Largest answers that are read of a device that may be a stranger: what a fleet is, and its members. */
const ABOUT_BYTES = 64 * 1024;
const JOIN_BYTES = 1024 * 1024;

/** A fleet, and the member that reported it. */
export interface SeenFleet {
  about: About;
  node: string;
  name: string;
}

/** Asks peers which fleet they are in. Peers that do not answer are left out. */
export async function scanTailnet(link: Ask, peers: readonly Peer[], signal: AbortSignal): Promise<SeenFleet[]> {
  const wanted = peers.filter(({ online, expired, shared, ips }) => online && !expired && !shared && ips.length > 0);
  const found: SeenFleet[] = [];
  const next = wanted.values();
  const look = async (): Promise<void> => {
    for (const { id, hostname } of next) {
      try {
        const about = aboutShape.parse(
          await link.call({ node: id }, ABOUT, {}, { timeoutMs: LOOK_MS, signal, maxBytes: ABOUT_BYTES }),
        );
        found.push({ about, node: id, name: hostname });
      } catch {
        // No cairn node, or one that does not say, or not now: the next scan asks again.
        signal.throwIfAborted();
      }
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, look));
  return found.sort((one, other) => (one.node < other.node ? -1 : 1));
}

/** A member to ask, and the one that named it. */
interface Candidate extends SeenFleet {
  /** StableNodeID of the node to ask: the leader, as far as it is known. */
  target: string;
}

/** The result of a join. */
export interface Joined {
  admitted: Admitted;
  server: string;
}

/**
 * Joins. Resolves once the fleet's log has this node as a member. Faults `join_refused`, `config_invalid`; rejects when
 * the signal aborts.
 */
export async function joinFleet(options: JoinerOptions, signal: AbortSignal): Promise<Joined> {
  return new Joiner(options, signal).run();
}

class Joiner {
  readonly #options: JoinerOptions;
  readonly #signal: AbortSignal;
  /** The only fleet that is accepted, from the first choice on. */
  #pinned: string | undefined;
  /** Devices that claimed the ticket's fleet and could not prove it; at most as many as the tailnet has. */
  readonly #rogues = new Set<string>();
  /** How often a node was asked in vain; at most as many as the tailnet has. */
  readonly #failures = new Map<string, number>();
  /** The refusal of the last rogue: the result if there is no other device to ask. */
  #refusal: Fault | undefined;
  #said = "";

  constructor(options: JoinerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#pinned = options.ticket?.fleetId ?? options.fleetId;
  }

  async run(): Promise<Joined> {
    const { ticket, role, conditions } = this.#options;
    refuseOtherRole(role, ticket);
    for (;;) {
      const joined = await this.#try();
      if (joined !== undefined) {
        for (const code of ["waiting_for_fleet", "waiting_with_data", "waiting_for_approval"] as const)
          conditions.clear(code);
        return joined;
      }
      await pause(this.#options.stepMs ?? STEP_MS, this.#signal);
    }
  }

  async #try(): Promise<Joined | undefined> {
    const { ticket } = this.#options;
    const candidates = await this.#find();
    const [first] = candidates;
    if (first === undefined) return undefined;
    this.#pinned ??= first.about.fleetId;
    if (ticket === undefined) return this.#askEach(candidates);
    const { found, why } = await this.#firstProved(candidates, ticket);
    if (found !== undefined) return this.#askEach([found]);
    if (why !== undefined) this.#waitFor(first, why);
    return undefined;
  }

  /**
   * Asks one candidate after another until one admits this node. Without a ticket none of them has proved anything: one
   * that hangs, refuses or keeps this node waiting must not keep it from the others.
   */
  async #askEach(candidates: readonly Candidate[]): Promise<Joined | undefined> {
    const { candidateMs = CANDIDATE_MS } = this.#options;
    let refusal: Fault | undefined;
    let pending = false;
    for (const found of candidates) {
      try {
        const joined = await this.#ask(found, candidates.length === 1 ? ASK_MS : candidateMs);
        if (joined !== "pending") return joined;
        pending = true;
      } catch (error) {
        this.#signal.throwIfAborted();
        this.#failures.set(found.target, (this.#failures.get(found.target) ?? 0) + 1);
        // A refusal is final if no other member waits for an approval; everything else may change.
        if (error instanceof Fault && (error.code === "join_refused" || error.code === "invalid_input"))
          refusal ??= error;
        else if (!pending) this.#waitFor(found, error);
      }
    }
    if (refusal !== undefined && !pending) throw refusal;
    return undefined;
  }

  #waitFor({ name, about }: SeenFleet, error: unknown): void {
    this.#wait(`${name} of the fleet ${about.fleet} does not admit this node yet: ${reasonOf(error)}`);
  }

  /** Returns the members to ask, the most promising first; none while there is no such fleet, or more than one. */
  async #find(): Promise<Candidate[]> {
    const { host, fleet, link } = this.#options;
    const peers = await this.#options.peers();
    const auto = host === "auto";
    const asked = auto ? peers : peers.filter((peer) => isNamed(peer, host));
    if (!auto && asked.length === 0) {
      this.#wait(`No device called ${host} is seen on the tailnet`);
      return [];
    }
    const seen = (await scanTailnet(link, asked, this.#signal)).filter(
      ({ node, about }) => !this.#rogues.has(node) && !this.#rogues.has(about.leader),
    );
    const named = seen.filter(({ about }) => fleet === undefined || about.fleet === fleet);
    if (!auto && named.length === 0 && seen[0] !== undefined)
      throw wrongFleet(`${host} is of the fleet ${seen[0].about.fleet}, not ${fleet}`);
    const right = named.filter(({ about }) => this.#pinned === undefined || about.fleetId === this.#pinned);
    if (right.length === 0) {
      if (this.#refusal !== undefined) throw this.#refusal;
      this.#wait(this.#nothingFound(named));
      return [];
    }
    const ids = new Map(right.map(({ about, name }) => [about.fleetId, name]));
    if (ids.size > 1) {
      const list = [...ids].map(([id, name]) => `${id.slice(0, 8)} (${name})`).join(", ");
      this.#wait(
        `${ids.size} fleets are called ${fleet}: ${list}; this node chooses none: name a member with --join HOST`,
      );
      return [];
    }
    return this.#candidatesOf(right);
  }

  /**
   * Returns the nodes that are to be asked for these fleets: each once, those that failed least first, then leaders.
   */
  #candidatesOf(seen: readonly SeenFleet[]): Candidate[] {
    const byTarget = new Map<string, Candidate>();
    for (const each of seen) {
      const target = each.about.leader === "" ? each.node : each.about.leader;
      // What a node says of itself comes before what others say of it.
      if (!byTarget.has(target) || target === each.node) byTarget.set(target, { ...each, target });
    }
    const rank = ({ target, node }: Candidate): number =>
      2 * (this.#failures.get(target) ?? 0) + (target === node ? 0 : 1);
    return [...byTarget.values()].sort((one, other) => rank(one) - rank(other));
  }

  #nothingFound(named: readonly SeenFleet[]): string {
    const { host, fleet, kept } = this.#options;
    const other = named[0];
    if (other !== undefined) {
      const wanted = this.#options.ticket === undefined ? "the one chosen before" : "this node's ticket";
      return (
        `${other.name} is of a fleet ${other.about.fleet} with another id (${other.about.fleetId.slice(0, 8)}) ` +
        `than ${wanted} (${this.#pinned?.slice(0, 8)})`
      );
    }
    const begins = kept === undefined ? "; only a start without --join begins a fleet" : "";
    return host === "auto"
      ? `No member of a fleet called ${fleet} answers on this tailnet${begins}`
      : `${host} does not answer as a node of a fleet; this node waits for it`;
  }

  async #ask(found: Candidate, timeoutMs: number): Promise<Joined | "pending"> {
    const { role, ticket, name, version, level, serverFor, conditions } = this.#options;
    const server = await serverFor(found.about);
    const request = {
      ask: "join",
      fleet: found.about.fleetId,
      server,
      name: name(),
      version,
      level,
      ...(role === undefined ? {} : { role }),
      ...(ticket === undefined ? {} : { secret: ticket.secret }),
    };
    const answer = admitted.parse(await this.#call(found.target, request, timeoutMs, this.#signal));
    if (answer.outcome === "pending") {
      const line =
        `The fleet ${found.about.fleet} has to admit this node: run cairn members approve ${name()} --role ` +
        `${role ?? "regional"} on its leader`;
      for (const code of ["waiting_for_fleet", "waiting_with_data"] as const) conditions.clear(code);
      conditions.raise("waiting_for_approval", line);
      this.#say(line);
      return "pending";
    }
    if (answer.fleetId !== this.#pinned) throw wrongFleet(`${found.name} answered for another fleet than before`);
    return { admitted: answer, server };
  }

  /**
   * Asks the candidates for their proof, several at once, and returns the first that proves itself, or why none did.
   */
  async #firstProved(candidates: readonly Candidate[], ticket: Ticket): Promise<{ found?: Candidate; why?: unknown }> {
    const enough = new AbortController();
    const signal = AbortSignal.any([this.#signal, enough.signal]);
    const next = candidates.values();
    let found: Candidate | undefined;
    let why: unknown;
    const ask = async (): Promise<void> => {
      for (const candidate of next) {
        try {
          if (found !== undefined || !(await this.#proves(candidate.target, ticket, signal))) continue;
          found ??= candidate;
          enough.abort();
        } catch (error) {
          if (found !== undefined) return;
          this.#failures.set(candidate.target, (this.#failures.get(candidate.target) ?? 0) + 1);
          why ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: PROOFS_AT_ONCE }, ask));
    this.#signal.throwIfAborted();
    return found === undefined ? { why } : { found };
  }

  /**
   * Reports whether the node proves that it knows this ticket, before the secret is sent to it. A stranger with the
   * fleet's name and id cannot.
   */
  async #proves(node: string, ticket: Ticket, signal: AbortSignal): Promise<boolean> {
    const { candidateMs = CANDIDATE_MS } = this.#options;
    const hash = hashOf(ticket.secret);
    const nonce = randomBytes(16).toString("hex");
    let why = "its proof is wrong";
    try {
      const { proof } = proved.parse(
        await this.#call(node, { ask: "prove", ticket: nameOf(hash), nonce }, candidateMs, signal),
      );
      if (sameProof(proof, proofOf(hash, { nonce, fleetId: ticket.fleetId, node }))) return true;
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "join_refused") throw error;
      why = error.message;
      this.#refusal = error;
    }
    this.#rogues.add(node);
    this.#wait(
      `The device ${node} says it is of this node's fleet and does not know its ticket (${why}); this node no ` +
        "longer asks it",
    );
    return false;
  }

  /** Calls the path `join`, for at most `timeoutMs` whatever the other side does. */
  async #call(node: string, value: unknown, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const call = this.#options.link.call({ node }, JOIN, value, { timeoutMs, signal, maxBytes: JOIN_BYTES });
    const late = Promise.withResolvers<never>();
    const tooLate = () => late.reject(signal.aborted ? signal.reason : hangs(node, timeoutMs));
    const either = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    either.addEventListener("abort", tooLate, { once: true });
    call.catch(() => {});
    try {
      return await Promise.race([call, late.promise]);
    } finally {
      either.removeEventListener("abort", tooLate);
    }
  }

  #wait(text: string): void {
    const { conditions, kept } = this.#options;
    conditions.clear("waiting_for_approval");
    const line = kept === undefined ? text : `${text}. ${kept}`;
    // Whoever holds data must not be told to begin a fleet without them.
    conditions.raise(kept === undefined ? "waiting_for_fleet" : "waiting_with_data", line);
    this.#say(line);
  }

  #say(line: string): void {
    if (line === this.#said) return;
    this.#said = line;
    this.#options.say(line);
  }
}

function hangs(node: string, timeoutMs: number): Fault {
  return new Fault("unavailable", `${node} did not answer within ${timeoutMs} ms`);
}

function isNamed(peer: Peer, host: string): boolean {
  const plain = host.toLowerCase().replace(/\.$/, "");
  const dnsName = peer.dnsName.toLowerCase();
  return peer.id === host || peer.ips.includes(host) || dnsName === plain || dnsName.split(".")[0] === plain;
}

function wrongFleet(message: string): Fault {
  return new Fault("join_refused", message, {
    hint: "Give the name of the fleet with --fleet, or another HOST with --join.",
    facts: { reason: "other_fleet" },
  });
}
