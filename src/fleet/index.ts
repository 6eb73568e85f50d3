// What other rooms need of the fleet: its manifest, the member table, joining, leading, heartbeats.

export { ABOUT, type About, isCandidate } from "./about.ts";
export { FLEET_ACTIONS, type FleetActions } from "./acts.ts";
export { AcknowledgedHeads, readAcknowledgedHeads } from "./beats/acknowledged-heads.ts";
export {
  type Answered,
  BEAT,
  type Beat,
  beatShape,
  MAX_KEPT_CHARACTERS,
  MAX_KEPT_NAMES,
  type ReceivedBeat,
} from "./beats/beat.ts";
export { Beats, type BeatsView } from "./beats/beats.ts";
export { ClockOff, type Clocks, isJumpConfirmed, NO_CLOCKS } from "./beats/clock-off.ts";
export { compareHistory, Histories } from "./beats/histories.ts";
export type { CacheReport } from "./cache-report.ts";
export { fleetBegin, fleetMemberRemove } from "./commands.ts";
export { shownNames } from "./device-names.ts";
export { fleetCommands, fleetFeature } from "./feature.ts";
export { type FleetFacts, faultToleranceOf, fleetPart } from "./fleet-part.ts";
export { Health } from "./health.ts";
export { Admission, JOIN, notTheLeader, type Pending, sentJoinRequest } from "./join/admit.ts";
export { type FleetFile, memberShape, readFleetFile, writeFleetFile } from "./join/fleet-file.ts";
export { type Joined, joinFleet, type SeenFleet, scanTailnet } from "./join/joiner.ts";
export { drawSecret, hashOf, parseTicket, refuseOtherRole, type Ticket, ticketText } from "./join/ticket.ts";
export { Observer, type ObserverOptions } from "./lead/observer.ts";
export { voterCount } from "./lead/plan.ts";
export { Steward } from "./lead/steward.ts";
export { KnownMembers, type Members, mayLead, openMembers } from "./members.ts";
export { NODE_RELOAD, type Reloaded } from "./node-acts.ts";
export { type FleetPart, NODE_REPORT, type NodeReport, nodeReport, type ReportWish } from "./node-status.ts";
export type { MachineReport } from "./placing/machine-schema.ts";
export { busyWords, freeWords, heatWords } from "./placing/machine-words.ts";
export { MEMBER_VIEWS, type MemberView, memberViews, withMachines } from "./placing/member-view.ts";
export { newestPurge } from "./purges.ts";
export { DEVICE_NAMES, type MembersReport, PENDING } from "./queries.ts";
export { fleetRowProblem } from "./row-states.ts";
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
export { allStates, fleetObserve, stateEvents } from "./states.ts";
