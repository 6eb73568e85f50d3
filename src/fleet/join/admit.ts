// The leader's side of a join: proves itself to holders of a ticket, proposes joiners, and remembers the devices that
// wait for approval. Whether a device may join is decided in apply (join-command.ts).

import { z } from "zod";
import { type Caller, callerName } from "../../access/caller.ts";
import { Fault } from "../../lib/fault.ts";
import type { Command } from "../../log/log.ts";
import type { Reader } from "../../store/store.ts";
import { shortName } from "../commands.ts";
import type { Members } from "../members.ts";
import { approvalOf, type FleetRole, ROLES, serverId, type TicketRow, ticketBy } from "../rows.ts";
import { type FleetFile, memberShape } from "./fleet-file.ts";
import { fleetMemberJoin, type JoinRefusal } from "./join-command.ts";
import { hashOf, nameOf, proofOf } from "./ticket.ts";

/** Peer path; open to all devices, since joiners are not members. */
export const JOIN = "join";

/**
 * The requests of a joiner: first a question that only a member of its ticket's fleet can answer, then the join itself.
 */
export const joinRequest = z.discriminatedUnion("ask", [
  z.object({
    ask: z.literal("prove"),
    /** `nameOf` the ticket's hash. */
    ticket: z.string().max(64),
    nonce: z.string().min(32).max(64),
  }),
  z.object({
    ask: z.literal("join"),
    /** Id of the fleet that the joiner has chosen. */
    fleet: z.string().max(64),
    server: serverId,
    name: shortName,
    role: z.enum(ROLES).optional(),
    version: z.string().max(64),
    level: z.number().int().min(1).max(65_535),
    /** Secret of the ticket. */
    secret: z.string().max(64).optional(),
  }),
]);

export type JoinRequest = z.infer<typeof joinRequest>;

/**
 * The request as peers send it: a server id must be one that the Go half makes, or every node would refuse the list of
 * members with it.
 */
export const sentJoinRequest = joinRequest.refine(
  (request) => request.ask === "prove" || /^([0-9a-f]{32})?$/.test(request.server),
  { path: ["server"], message: "the id of a raft folder has 32 hex digits" },
);

/** Answer to `prove`. */
export const proved = z.object({ proof: z.string().max(128) });

/** Answer to `join`: admitted, or waiting for approval. */
export const admitted = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("pending") }),
  z.object({
    outcome: z.enum(["joined", "rejoined", "member"]),
    role: z.enum(ROLES),
    spaces: z.array(z.string()),
    fleet: z.string(),
    fleetId: z.string(),
    epoch: z.string(),
    profile: z.enum(["lan", "home", "wan"]),
    members: z.array(memberShape).max(1000),
    /** The fleet's fault tolerance with the new member. */
    survives: z.string(),
  }),
]);

export type Admitted = Exclude<z.infer<typeof admitted>, { outcome: "pending" }>;

/** A device that waits for approval. */
export interface Pending {
  node: string;
  name: string;
  /** As the tailnet knows it: login, or tags. */
  caller: string;
  role: FleetRole | "";
  version: string;
  sinceMs: number;
  lastMs: number;
}

export interface AdmissionOptions {
  reader: Reader;
  members: Members;
  propose: (command: Command) => Promise<{ output: Record<string, unknown> }>;
  /**
   * Resolves when everything acknowledged before is applied here; a leader that has just begun may not know a ticket
   * yet.
   */
  barrier: () => Promise<void>;
  leading: () => boolean;
  leader: () => { node: string; name: string } | undefined;
  /** StableNodeID of this node. */
  self: () => string;
  fleet: () => Pick<FleetFile, "fleet" | "fleetId" | "epoch" | "profile">;
  /** Roles that grants let this caller join with. */
  joinRoles: (caller: Caller) => readonly FleetRole[];
  survives: () => string;
  nowMs: () => number;
}

const MAX_PENDING = 32;
/** A device that has not asked again for this long is dropped. */
const PENDING_MS = 60_000;

/** Admits joiners on the leader, and keeps the devices that wait for approval. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #pending = new Map<string, Pending>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Returns the waiting devices, the longest waiting first. */
  pending(): Pending[] {
    this.#forgetOld();
    return [...this.#pending.values()];
  }

  /** Answers the peer path. Faults: `not_leader`, `join_refused`, and those of the log. */
  async handle(caller: Caller, request: JoinRequest): Promise<z.infer<typeof proved> | z.infer<typeof admitted>> {
    if (!this.#options.leading()) throw notTheLeader(this.#options.leader(), "Joining");
    return request.ask === "prove" ? this.#prove(request) : this.#join(caller, request);
  }

  async #prove({ ticket, nonce }: Extract<JoinRequest, { ask: "prove" }>): Promise<z.infer<typeof proved>> {
    const { barrier, fleet, self } = this.#options;
    let found = this.#ticketNamed(ticket);
    if (found === undefined) {
      await barrier();
      found = this.#ticketNamed(ticket);
    }
    if (found !== undefined) return { proof: proofOf(found.hash, { nonce, fleetId: fleet().fleetId, node: self() }) };
    throw unknownTicket();
  }

  #ticketNamed(name: string): Pick<TicketRow, "hash"> | undefined {
    return this.#options.reader
      .all<Pick<TicketRow, "hash">>("SELECT hash FROM tickets WHERE hash NOT LIKE 'node:%' ORDER BY hash")
      .find(({ hash }) => nameOf(hash) === name);
  }

  /**
   * Reports whether anything speaks for the joiner, or refuses it for good. Any device of the tailnet can ask all day,
   * so without a case nothing is written to the log.
   */
  async #hasCase(caller: Caller, { secret, server, fleet }: Extract<JoinRequest, { ask: "join" }>): Promise<boolean> {
    const { reader, members, joinRoles, barrier, fleet: own } = this.#options;
    const hash = secret === undefined ? approvalOf(caller.id) : hashOf(secret);
    const has = (): boolean =>
      members.get(caller.id) !== undefined ||
      members.byServer(server) !== undefined ||
      ticketBy(reader, hash) !== undefined;
    if (fleet !== own().fleetId) throw otherFleet();
    if (joinRoles(caller).length > 0 || has()) return true;
    if (secret === undefined) return false;
    await barrier();
    members.refresh();
    if (has()) return true;
    throw unknownTicket();
  }

  async #join(caller: Caller, request: Extract<JoinRequest, { ask: "join" }>): Promise<z.infer<typeof admitted>> {
    const { propose, members, fleet, joinRoles, survives } = this.#options;
    if (caller.kind === "shared" || caller.kind === "local") {
      throw new Fault("join_refused", "Only devices of this tailnet can join a fleet", {
        hint: "Let the device join the tailnet itself first.",
      });
    }
    if (!(await this.#hasCase(caller, request))) {
      this.#remember(caller, request);
      return { outcome: "pending" };
    }
    const { secret, role, ask: _, ...self } = request;
    const command = fleetMemberJoin.prepare(
      {
        ...self,
        node: caller.id,
        granted: [...joinRoles(caller)],
        ...(role === undefined ? {} : { role }),
        ...(secret === undefined ? {} : { ticket: hashOf(secret) }),
      },
      // The command depends on no setting.
      undefined as never,
    );
    try {
      const { name, v } = fleetMemberJoin;
      const { output } = await propose({ name, v, input: command, caller: callerName(caller), via: "", key: "" });
      const { role: given, spaces, outcome } = fleetMemberJoin.output.parse(output);
      this.#pending.delete(caller.id);
      members.refresh();
      return { outcome, role: given, spaces, ...fleet(), members: [...members.list()], survives: survives() };
    } catch (error) {
      if (!(error instanceof Fault) || error.facts.reason !== "needs_approval") throw error;
      this.#remember(caller, request);
      return { outcome: "pending" };
    }
  }

  #remember(caller: Caller, { name, role, version }: Extract<JoinRequest, { ask: "join" }>): void {
    this.#forgetOld();
    const { nowMs } = this.#options;
    const known = this.#pending.get(caller.id);
    if (known === undefined && this.#pending.size >= MAX_PENDING) {
      throw new Fault("rate_limited", `${MAX_PENDING} devices wait for an approval already`, {
        hint: "Approve or stop some of them: cairn members lists them.",
        details: { retryAfterSeconds: 10 },
      });
    }
    const who = caller.tags.length > 0 ? caller.tags.join(", ") : callerName(caller);
    this.#pending.set(caller.id, {
      node: caller.id,
      name,
      caller: who,
      role: role ?? "",
      version,
      sinceMs: known?.sinceMs ?? nowMs(),
      lastMs: nowMs(),
    });
  }

  #forgetOld(): void {
    const floor = this.#options.nowMs() - PENDING_MS;
    for (const [node, { lastMs }] of this.#pending) if (lastMs < floor) this.#pending.delete(node);
  }
}

function unknownTicket(): Fault {
  return new Fault("join_refused", "This fleet knows no such ticket, or it has expired", {
    hint: "Make one with cairn ticket on the leader of this fleet.",
    facts: { reason: "ticket_unknown" satisfies JoinRefusal },
  });
}

function otherFleet(): Fault {
  return new Fault("join_refused", "It asks for a fleet with another id", {
    hint: "Look at the fleet's id in cairn status of both nodes.",
    facts: { reason: "other_fleet" satisfies JoinRefusal },
  });
}

/** Returns the Fault of a member that is asked for something that only the leader does. */
export function notTheLeader(leader: { node: string; name: string } | undefined, what: string): Fault {
  return new Fault("not_leader", `${what} works only on the leader, and ${leader?.name ?? "no member"} leads now`, {
    hint: leader === undefined ? "Try again once there is a leader; see cairn status." : `Ask ${leader.name}.`,
    facts: { leader },
    // Without a leader the names stay, empty.
    details: { leader: "", leader_name: "", retryAfterSeconds: 1 },
  });
}
