// What the product asks of the node's part in its fleet, whether that is a full member or an edge.

import type { FleetHands, FleetPart, FleetRole, Member, Pending } from "../../fleet/index.ts";

/** A node as a member of its fleet. */
export interface FleetFace extends FleetHands {
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
