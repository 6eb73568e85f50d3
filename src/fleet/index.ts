// What other folders need of the fleet.

import type { Operation } from "../operation/define.ts";
import {
  fleetBegin,
  fleetLevelRaise,
  fleetMemberApprove,
  fleetMemberForget,
  fleetMemberPromote,
  fleetMemberRemove,
  fleetMemberUpdate,
  fleetProfileSet,
} from "./commands.ts";
import { fleetMemberJoin } from "./join/join-command.ts";
import { fleetTicketCreate } from "./join/ticket-command.ts";
import schema from "./schema.sql" with { type: "text" };

export { ABOUT, type About, isCandidate } from "./about.ts";
export { type FleetActions, fleetLeave, fleetTransfer } from "./acts.ts";
export { AcknowledgedHeads, readAcknowledgedHeads } from "./beats/acknowledged-heads.ts";
export { type Answered, BEAT, type Beat, beatShape, type Heard } from "./beats/beat.ts";
export { Beats } from "./beats/beats.ts";
export { ClockOff } from "./beats/clock-off.ts";
export { compareHistory, Histories } from "./beats/histories.ts";
export type { CacheReport } from "./cache-report.ts";
export { fleetBegin, fleetMemberRemove } from "./commands.ts";
export { FLEET_TABLES } from "./digest.ts";
export { faultToleranceOf, fleetPart } from "./fleet-part.ts";
export { Health } from "./health.ts";
export { Admission, JOIN, notTheLeader, type Pending, sentJoinRequest } from "./join/admit.ts";
export { type FleetFile, memberShape, readFleetFile, writeFleetFile } from "./join/fleet-file.ts";
export { type Joined, joinFleet, type SeenFleet, scanTailnet } from "./join/joiner.ts";
export { drawSecret, hashOf, parseTicket, type Ticket, ticketText } from "./join/ticket.ts";
export { voterCount } from "./lead/plan.ts";
export { Steward } from "./lead/steward.ts";
export { KnownMembers, type Members, openMembers } from "./members.ts";
export { type FleetPart, type NodeReport, nodeReport, nodeStatus } from "./node-status.ts";
export { fleetMembers } from "./queries.ts";
export {
  allMembers,
  type FleetRole,
  fleetValue,
  type Member,
  memberByServer,
  PROFILES,
  type Profile,
  ROLES,
} from "./rows.ts";

/** Tables of members and tickets. */
export const fleetSchema: string = schema;

/** The writes of the fleet, internal ones included; reads and acts are made over what a node knows. */
export const fleetCommands: readonly Operation[] = [
  fleetBegin,
  fleetMemberJoin,
  fleetMemberUpdate,
  fleetMemberApprove,
  fleetMemberPromote,
  fleetMemberRemove,
  fleetMemberForget,
  fleetTicketCreate,
  fleetProfileSet,
  fleetLevelRaise,
];
