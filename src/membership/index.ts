// What other rooms may use of a node's membership in its fleet.

export { openEdgeMember } from "./edge-member.ts";
export { EdgeParts } from "./edge-parts.ts";
export { serveFeed } from "./feed.ts";
export { profileOf } from "./fleet-state.ts";
export type { MemberStart, RunningMember } from "./fleet-view.ts";
export { fullNodeRouting } from "./full-routing.ts";
export { Membership } from "./membership.ts";
export { openFullMember } from "./open-full-member.ts";
export { OwnNode } from "./own-node.ts";
export { PeerConnection } from "./peer-connection.ts";
export { type FleetPlan, ownChanges, planFleet, plannedRole } from "./plan.ts";
export { raftMembersOf } from "./raft-membership.ts";
export { comesBackAfter, mayGetCopy } from "./rejoin.ts";
