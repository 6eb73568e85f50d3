// What a start gives to the membership of a node, and what the rest of the node asks of it, for full members and edges
// alike.

import type { Loaded } from "../config/load.ts";
import type { Clocks, FleetActions, FleetPart, FleetRole, Member, MemberView, Pending } from "../fleet/index.ts";
import type { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { MachineWatch } from "../observe/machine/machine-watch.ts";
import type { Tailnet } from "../tailnet/index.ts";
import type { OwnNode } from "./own-node.ts";
import type { FleetPlan } from "./plan.ts";

/** What a start gives to the membership of any node. */
export interface MemberStart {
  loaded: Loaded;
  plan: FleetPlan;
  tailnet: Tailnet;
  node: OwnNode;
  conditions: Conditions;
  /** Reports a line for people, as an event. */
  say: (line: string) => void;
  onFatal: (fault: Fault) => void;
  nowMs: () => number;
  startedMs: number;
  /** This node's machine. */
  machine: MachineWatch;
}

/** The membership of a running node. */
export interface RunningMember {
  fleet: FleetView;
  /** Called when the tailnet serves: beats begin, or the join that the plan asks for. */
  up(): void;
  stop(): Promise<void>;
}

/** A node as a member of its fleet. */
export interface FleetView extends FleetActions {
  /** Returns role, fleet and members for node_status. */
  part(): Promise<FleetPart>;
  /** Returns the members with the facts of their machines, for fleet_members and fleet_pick. */
  views(): Promise<readonly MemberView[]>;
  /** As `part`, for metrics: from what is known, without asking raft or the tailnet. */
  partNow(): FleetPart;
  /** Returns the devices that wait for approval, where this node leads. */
  pending(): readonly Pending[];
  /** Returns the first labels of the MagicDNS names of all devices that the tailnet shows, by StableNodeID. */
  deviceNames(): Promise<ReadonlyMap<string, string>>;
  /** Returns what /.well-known/cairn shows. */
  about(): { fleetId: string; fleet: string; role: FleetRole; leader: string };
  /** Returns the member that orders writes, if it is known. */
  leader(): Member | undefined;
  /** Returns the fleet's level as far as it is known; 0: it is not. */
  fleetLevel(): number;
  /** Returns how old the state of this node may be at most, in ms; infinite while it is not known. */
  stateAgeMs(): number;
  /** Returns a function for the age of the present state, in ms, at a later moment; undefined: none is known. */
  stateAgeFromNow(): (() => number) | undefined;
  /** Returns the server id of the voter that should lead instead while this node cannot take writes; "" otherwise. */
  successor(): string;
  /** Reports whether the entries of the log up to an index may be erased: no member that responds needs them. */
  mayErase(index: number): boolean;
  /** Returns the round trip to a member in ms; undefined where it was not measured. */
  roundTripMs(node: string): number | undefined;
  /**
   * Returns what to add to this node's wall clock for its stamps, in ms: other than 0 where the voters' clocks show
   * that it is far off; undefined while that cannot be known.
   */
  clockOffMs(): number | undefined;
  /** Returns what this node knows of the clocks of the fleet's centrals. */
  clocks(): Clocks;
}
