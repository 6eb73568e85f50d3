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
import { hashOf, nameOf, proofOf, sameProof, type Ticket } from "./ticket.ts";

/** Calls a peer; Faults as of peer/link.ts. */
export interface Ask {
  call(
    target: { node: string },
    path: string,
    value: unknown,
    options: { timeoutMs: number; signal: AbortSignal },
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
  /** Opens this node's raft member for the fleet and returns its server id; "" for an edge. May be called again. */
  serverFor: (fleet: About) => Promise<string>;
  conditions: Conditions;
  /** Shows a line on the terminal, once for each new text. */
  say: (line: string) => void;
  /** Time between two scans or two requests, in ms. */
  stepMs?: number;
}

const STEP_MS = 2_000;
const LOOK_MS = 3_000;
const ASK_MS = 15_000;
const LOOKS_AT_ONCE = 8;

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
        const about = aboutShape.parse(await link.call({ node: id }, ABOUT, {}, { timeoutMs: LOOK_MS, signal }));
        found.push({ about, node: id, name: hostname });
      } catch {
        // Not a cairn node, one that does not tell us, or not now: the next scan asks again.
        signal.throwIfAborted();
      }
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, look));
  return found.sort((one, other) => (one.node < other.node ? -1 : 1));
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
  /** The refusal of the last of them: the result if there is no other device to ask. */
  #refusal: Fault | undefined;
  #said = "";

  constructor(options: JoinerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#pinned = options.ticket?.fleetId ?? options.fleetId;
  }

  async run(): Promise<Joined> {
    const { ticket, role, conditions } = this.#options;
    if (ticket !== undefined && role !== undefined && ticket.role !== role) {
      throw new Fault(
        "join_refused",
        `The ticket is for the role ${ticket.role}, and this node is started as ${role}`,
        {
          hint: `Start it with --role ${ticket.role}, or make a ticket with cairn ticket --role ${role}.`,
          facts: { reason: "ticket_other_role" },
        },
      );
    }
    for (;;) {
      const joined = await this.#try();
      if (joined !== undefined) {
        for (const code of ["waiting_for_fleet", "waiting_for_approval"] as const) conditions.clear(code);
        return joined;
      }
      await pause(this.#options.stepMs ?? STEP_MS, this.#signal);
    }
  }

  async #try(): Promise<Joined | undefined> {
    const found = await this.#find();
    if (found === undefined) return undefined;
    this.#pinned ??= found.about.fleetId;
    try {
      return await this.#ask(found);
    } catch (error) {
      this.#signal.throwIfAborted();
      // A refusal by the fleet is final; everything else may change.
      if (error instanceof Fault && (error.code === "join_refused" || error.code === "invalid_input")) throw error;
      const why = reasonOf(error);
      this.#wait(`${found.name} of the fleet ${found.about.fleet} does not admit this node yet: ${why}`);
      return undefined;
    }
  }

  async #find(): Promise<SeenFleet | undefined> {
    const { host, fleet, link } = this.#options;
    const peers = await this.#options.peers();
    const auto = host === "auto";
    const asked = auto ? peers : peers.filter((peer) => isNamed(peer, host));
    if (!auto && asked.length === 0) {
      this.#wait(`No device called ${host} is seen on the tailnet`);
      return undefined;
    }
    const seen = (await scanTailnet(link, asked, this.#signal)).filter(
      ({ node, about }) => !this.#rogues.has(node) && !this.#rogues.has(about.leader),
    );
    const named = seen.filter(({ about }) => fleet === undefined || about.fleet === fleet);
    if (!auto && named.length === 0 && seen[0] !== undefined)
      throw wrongFleet(`${host} is of the fleet ${seen[0].about.fleet}, not ${fleet}`);
    const right = named.filter(({ about }) => this.#pinned === undefined || about.fleetId === this.#pinned);
    const first = right[0];
    if (first === undefined) {
      if (this.#refusal !== undefined) throw this.#refusal;
      this.#wait(this.#nothingFound(named));
      return undefined;
    }
    const ids = new Map(right.map(({ about, name }) => [about.fleetId, name]));
    if (ids.size > 1) {
      const list = [...ids].map(([id, name]) => `${id.slice(0, 8)} (${name})`).join(", ");
      this.#wait(
        `${ids.size} fleets are called ${fleet}: ${list}; this node chooses none: name a member with --join HOST`,
      );
      return undefined;
    }
    return right.find(({ node, about }) => about.leader === node) ?? first;
  }

  #nothingFound(named: readonly SeenFleet[]): string {
    const { host, fleet } = this.#options;
    const other = named[0];
    if (other !== undefined) {
      const wanted = this.#options.ticket === undefined ? "the one chosen before" : "this node's ticket";
      return (
        `${other.name} is of a fleet ${other.about.fleet} with another id (${other.about.fleetId.slice(0, 8)}) ` +
        `than ${wanted} (${this.#pinned?.slice(0, 8)})`
      );
    }
    return host === "auto"
      ? `No member of a fleet called ${fleet} answers on this tailnet; only a start without --join begins a fleet`
      : `${host} does not answer as a node of a fleet; this node waits for it`;
  }

  async #ask(found: SeenFleet): Promise<Joined | undefined> {
    const { role, ticket, name, version, level, serverFor, conditions } = this.#options;
    const node = found.about.leader === "" ? found.node : found.about.leader;
    if (ticket !== undefined && !(await this.#proves(node, ticket))) return undefined;
    const server = await serverFor(found.about);
    const answer = admitted.parse(
      await this.#call(node, {
        ask: "join",
        fleet: found.about.fleetId,
        server,
        name: name(),
        version,
        level,
        ...(role === undefined ? {} : { role }),
        ...(ticket === undefined ? {} : { secret: ticket.secret }),
      }),
    );
    if (answer.outcome === "pending") {
      const line =
        `The fleet ${found.about.fleet} has to admit this node: run cairn members approve ${name()} --role ` +
        `${role ?? "regional"} on its leader`;
      conditions.clear("waiting_for_fleet");
      conditions.raise("waiting_for_approval", line);
      this.#say(line);
      return undefined;
    }
    if (answer.fleetId !== this.#pinned) throw wrongFleet(`${found.name} answered for another fleet than before`);
    return { admitted: answer, server };
  }

  /**
   * Reports whether the node proves that it knows this ticket, before it is told the secret. A stranger with the
   * fleet's name and id cannot.
   */
  async #proves(node: string, ticket: Ticket): Promise<boolean> {
    const hash = hashOf(ticket.secret);
    const nonce = randomBytes(16).toString("hex");
    let why = "its proof is wrong";
    try {
      const { proof } = proved.parse(await this.#call(node, { ask: "prove", ticket: nameOf(hash), nonce }));
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

  #call(node: string, value: unknown): Promise<unknown> {
    return this.#options.link.call({ node }, JOIN, value, { timeoutMs: ASK_MS, signal: this.#signal });
  }

  #wait(text: string): void {
    this.#options.conditions.clear("waiting_for_approval");
    this.#options.conditions.raise("waiting_for_fleet", text);
    this.#say(text);
  }

  #say(line: string): void {
    if (line === this.#said) return;
    this.#said = line;
    this.#options.say(line);
  }
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
