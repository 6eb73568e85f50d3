// A node's membership in its fleet, as the rest of the node uses it. It exists before the member does, because the
// member works on the store and the log of a node that is built already. Until `attach`, and on a node without a
// tailnet, the answers are those of a node that is alone.

import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import {
  type Clocks,
  type FleetActions,
  type FleetFacts,
  type FleetPart,
  type FleetRole,
  fleetPart,
  type Member,
  type MemberView,
  memberViews,
  NO_CLOCKS,
  type Pending,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { fleetOf } from "../log/history.ts";
import { KNOWN_LEVEL, levelOf } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import type { MachineWatch } from "../observe/machine/machine-watch.ts";
import { changedFleetSettings } from "../operation/fleet-settings.ts";
import type { Store } from "../store/store.ts";
import type { UpstreamDirectory } from "./edge-parts.ts";
import type { FleetView } from "./fleet-view.ts";

/** What a node that is alone knows of itself. */
export interface LoneNode {
  settings: Settings;
  store: Store;
  log: Log;
}

/** Holds the member once it runs. */
export class Membership implements FleetActions, UpstreamDirectory {
  readonly #role: FleetRole;
  readonly #machine: MachineWatch;
  #member: FleetView | undefined;

  /** `role` is that in which the node starts (`plannedRole`), shown until the member is attached. */
  constructor(role: FleetRole, machine: MachineWatch) {
    this.#role = role;
    this.#machine = machine;
  }

  /** Attaches the member, once. */
  attach(member: FleetView): void {
    if (this.#member !== undefined) throw new Error("this node is a member already");
    this.#member = member;
  }

  /** Returns role, fleet and members for node_status. */
  async part(lone: LoneNode): Promise<FleetPart> {
    return this.#member?.part() ?? fleetPart(this.#factsOf(lone));
  }

  /** Returns the members with the facts of their machines. */
  async views(lone: LoneNode): Promise<readonly MemberView[]> {
    return this.#member?.views() ?? memberViews(this.#factsOf(lone), this.#machine.facts());
  }

  #factsOf({ settings, store: { reader }, log }: LoneNode): FleetFacts {
    const { fleet: id, epoch } = fleetOf(reader);
    return {
      ready: true,
      removed: false,
      self: "",
      name: settings.hostname,
      role: this.#role,
      members: [],
      raft: undefined,
      own: undefined,
      fleet: {
        name: settings.fleet,
        id,
        epoch,
        profile: settings.fleet_profile,
        level: levelOf(reader),
        settings: changedFleetSettings(reader),
      },
      position: log.position(),
      leadership: log.leadership(),
      leaderNode: "",
      peers: [],
      monotonicMs: 0,
      received: () => undefined,
      isAway: () => false,
      version: buildInfo.version,
      level: KNOWN_LEVEL,
    };
  }

  /** As `part`, for metrics: from what is known already. Undefined before `attach`. */
  partNow(): FleetPart | undefined {
    return this.#member?.partNow();
  }

  /** Returns what /.well-known/cairn shows. */
  about({ settings, store }: Omit<LoneNode, "log">): {
    fleetId: string;
    fleet: string;
    role: FleetRole;
    leader: string;
  } {
    if (this.#member !== undefined) return this.#member.about();
    return { fleetId: fleetOf(store.reader).fleet, fleet: settings.fleet, role: this.#role, leader: "" };
  }

  /** Returns the id of the fleet in whose name this node refuses peers; "" before `attach`. */
  fleetId(): string {
    return this.#member?.about().fleetId ?? "";
  }

  /** Returns the devices that wait for approval; none before `attach` and where this node does not lead. */
  deviceNames(): Promise<ReadonlyMap<string, string>> {
    return this.#member?.deviceNames() ?? Promise.resolve(new Map());
  }

  pending(): readonly Pending[] {
    return this.#member?.pending() ?? [];
  }

  /** Returns the member that orders writes; undefined before `attach` and while none is known. */
  leader(): Member | undefined {
    return this.#member?.leader();
  }

  /** Returns the fleet's level as far as this node knows; 0: it does not. */
  fleetLevel(): number {
    return this.#member?.fleetLevel() ?? 0;
  }

  /** Returns the measured round trip to a member in ms; undefined before `attach` and where it was not measured. */
  roundTripMs(node: string): number | undefined {
    return this.#member?.roundTripMs(node);
  }

  /** Returns how old the state of this node may be, in ms; infinite before `attach` and while nothing is proved. */
  stateAgeMs(): number {
    return this.#member?.stateAgeMs() ?? Number.POSITIVE_INFINITY;
  }

  /** Returns a function for the age of the present state, in ms, at a later moment; undefined: none is known. */
  stateAgeFromNow(): (() => number) | undefined {
    return this.#member?.stateAgeFromNow();
  }

  /** Returns the voter to hand the lead to while this node cannot take writes; "" while it may lead. */
  successor(): string {
    return this.#member?.successor() ?? "";
  }

  /** Reports whether the entries of the log up to an index may be erased; before `attach` they may. */
  mayErase(index: number): boolean {
    return this.#member?.mayErase(index) ?? true;
  }

  /** Returns what to add to the wall clock for stamps, in ms; 0 before `attach`, undefined while it cannot be known. */
  clockOffMs(): number | undefined {
    return this.#member === undefined ? 0 : this.#member.clockOffMs();
  }

  /** Returns what this node knows of the clocks of the fleet's centrals; nothing before `attach`. */
  clocks(): Clocks {
    return this.#member?.clocks() ?? NO_CLOCKS;
  }

  async transfer(node: string | undefined, signal: AbortSignal): Promise<{ node: string; name: string }> {
    return this.#actions().transfer(node, signal);
  }

  async leave(signal: AbortSignal): Promise<{ fleet: string }> {
    return this.#actions().leave(signal);
  }

  /** Throws Fault `unavailable` before `attach`. */
  #actions(): FleetActions {
    if (this.#member !== undefined) return this.#member;
    throw new Fault("unavailable", "This node is in no fleet: it is on no tailnet", {
      hint: "Start it with cairn serve.",
    });
  }
}
