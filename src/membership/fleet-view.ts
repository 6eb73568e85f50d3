// A node's part in its fleet as the rest of it sees it, whether that is a full member or an edge: what a start gives it, what the product asks of it.

import type { Loaded } from "../config/load.ts";
import type { FleetActions, FleetPart, FleetRole, Member, Pending } from "../fleet/index.ts";
import type { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { Tailnet } from "../tailnet/index.ts";
import type { OwnNode } from "./own-node.ts";
import type { FleetPlan } from "./plan.ts";

/** What a start gives the fleet part of any node. */
export interface MemberStart {
  loaded: Loaded;
  plan: FleetPlan;
  tailnet: Tailnet;
  node: OwnNode;
  conditions: Conditions;
  /** A line for people, as an event. */
  say: (line: string) => void;
  onFatal: (fault: Fault) => void;
  nowMs: () => number;
  startedMs: number;
}

/** The fleet part of a running node. */
export interface RunningMember {
  fleet: FleetView;
  /** The tailnet serves: beats begin, and so does a join that is wished. */
  up(): void;
  stop(): Promise<void>;
}

/** A node as a member of its fleet. */
export interface FleetView extends FleetActions {
  /** For node_status. */
  part(): Promise<FleetPart>;
  /** For metrics: the same without asking anyone anew. */
  partNow(): FleetPart;
  /** Devices that wait to be let in, where this node leads. */
  pending(): readonly Pending[];
  /** What /.well-known/cairn tells. */
  about(): { fleetId: string; fleet: string; role: FleetRole; leader: string };
  /** The member that orders writes, as far as it is known. */
  leader(): Member | undefined;
  /** How old what this node has may be at most, in ms; infinite while that is not known. */
  stateAgeMs(): number;
  /** Milliseconds to a member and back; undefined where it was not measured. */
  roundTripMs(node: string): number | undefined;
  /** Ms to add to this node's wall clock for what it stamps: not 0 where the voters' clocks say that it is far off; undefined while nobody can tell. */
  clockOffMs(): number | undefined;
}
