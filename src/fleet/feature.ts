// The manifest of the fleet: members, joining, the status of a node, and actions of an admin.

import type { Operation } from "../operation/define.ts";
import type { Feature } from "../operation/feature.ts";
import { fleetLeave, fleetTransfer } from "./acts.ts";
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
import { storeGrowth } from "./growth.ts";
import { fleetMemberJoin } from "./join/join-command.ts";
import { fleetTicketCreate } from "./join/ticket-command.ts";
import { nodeLogLevels, nodeReload } from "./node-acts.ts";
import { nodeStatus } from "./node-status.ts";
import { cacheSection } from "./pages/cache.tsx";
import { conditionsSection } from "./pages/conditions.tsx";
import style from "./pages/fleet.css" with { type: "text" };
import { fleetPage } from "./pages/fleet-page.tsx";
import { fleetFrame } from "./pages/frame.ts";
import { membersSection } from "./pages/members.tsx";
import { nodeSection } from "./pages/node.tsx";
import { storePage } from "./pages/store-page.tsx";
import { fleetPick } from "./placing/fleet-pick.ts";
import { pickCommand } from "./placing/pick-command.ts";
import { fleetMembers } from "./queries.ts";
import { fleetRoutes } from "./rest.ts";
import { fleetRowProblem } from "./row-states.ts";
import schema from "./schema.sql" with { type: "text" };
import { fleetSettings, fleetSettingsSet } from "./settings-commands.ts";
import states from "./states.sql" with { type: "text" };
import { fleetObserve, STATES_LEVEL, stateEvents } from "./states.ts";

/** The writes of the fleet, internal ones included. */
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
  fleetSettingsSet,
  fleetLevelRaise,
  fleetObserve,
];

/** The fleet. A new history begins without members and without anything that admits others. */
export const fleetFeature: Feature = {
  name: "fleet",
  rest: fleetRoutes,
  commands: [pickCommand],
  migrations: [
    { id: 4, level: 1, sql: schema },
    { id: 23, level: STATES_LEVEL, sql: states },
  ],
  tables: [
    { name: "members", scope: "replicated", fork: "clear", sql: "SELECT * FROM members ORDER BY node" },
    { name: "tickets", scope: "replicated", fork: "clear", sql: "SELECT * FROM tickets ORDER BY hash" },
    { name: "fleet_states", scope: "replicated", fork: "clear", sql: "SELECT * FROM fleet_states ORDER BY target" },
  ],
  operations: (node) => [
    ...fleetCommands,
    nodeStatus(node),
    nodeLogLevels,
    nodeReload(node),
    fleetMembers(node),
    fleetPick(node),
    fleetSettings(node),
    fleetTransfer(node),
    fleetLeave(node),
    storeGrowth,
  ],
  events: {
    ...stateEvents,
    "cairn.member.changed": {
      when: "a member joined, was approved, promoted or removed",
      subject: "the member, as fleet/members/NODE",
      operations: [
        ...[fleetMemberJoin.name, fleetMemberApprove.name, fleetMemberPromote.name],
        ...[fleetMemberRemove.name, fleetMemberForget.name],
      ],
    },
    "cairn.settings.changed": {
      when: "an admin changed a setting or the profile of the fleet",
      subject: "the setting, as fleet/settings/NAME",
      operations: [fleetSettingsSet.name, fleetProfileSet.name],
    },
  },
  verify: fleetRowProblem,
  pages: [fleetPage, storePage],
  sections: [conditionsSection, membersSection, cacheSection, nodeSection],
  style,
  frame: fleetFrame,
};
