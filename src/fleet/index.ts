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
import { fleetMemberJoin } from "./join-command.ts";
import schema from "./schema.sql" with { type: "text" };
import { fleetTicketCreate } from "./ticket-command.ts";

export { ABOUT, type About, isCandidate } from "./about.ts";
export { type FleetHands, fleetLeave, fleetTransfer } from "./acts.ts";
export { Admission, JOIN, joinRequest, notTheLeader, type Pending } from "./admit.ts";
export { BEAT, type Beat, beatShape, type Heard } from "./beat.ts";
export { AWAY_MS, Beats } from "./beats.ts";
export { type CacheReport, cacheReport } from "./cache-report.ts";
export { ClockOff } from "./clock-off.ts";
export { fleetBegin, fleetMemberRemove } from "./commands.ts";
export { FLEET_TABLES } from "./digest.ts";
export { type FleetFile, readFleetFile, toldMember, writeFleetFile } from "./fleet-file.ts";
export { fleetPart, survivesOf } from "./fleet-part.ts";
export { Health } from "./health.ts";
export { compareHistory, Histories } from "./histories.ts";
export { type Joined, joinFleet, lookAround, type Sighted } from "./joiner.ts";
export { type Members, openMembers, ToldMembers } from "./members.ts";
export { type FleetPart, type NodeReport, nodeReport, nodeStatus } from "./node-status.ts";
export { fleetMembers } from "./queries.ts";
export { type FleetRole, fleetValue, type Member, PROFILES, type Profile, ROLES } from "./rows.ts";
export { Steward } from "./steward.ts";
export { survivesText } from "./survives.ts";
export { drawSecret, hashOf, parseTicket, type Ticket, ticketText } from "./ticket.ts";
export { type ToldHead, ToldHeads, toldHeads } from "./told-heads.ts";

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
