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
import { fleetMemberJoin } from "./join/join-command.ts";
import { fleetTicketCreate } from "./join/ticket-command.ts";
import { nodeStatus } from "./node-status.ts";
import { cacheSection } from "./pages/cache.tsx";
import { conditionsSection } from "./pages/conditions.tsx";
import style from "./pages/fleet.css" with { type: "text" };
import { fleetFrame } from "./pages/frame.ts";
import { membersSection } from "./pages/members.tsx";
import { nodeSection } from "./pages/node.tsx";
import { fleetMembers } from "./queries.ts";
import schema from "./schema.sql" with { type: "text" };
import { fleetSettings, fleetSettingsSet } from "./settings-commands.ts";

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
];

/** The fleet. A new history begins without members and without anything that admits others. */
export const fleetFeature: Feature = {
  name: "fleet",
  migrations: [{ id: 4, level: 1, sql: schema }],
  tables: [
    { name: "members", scope: "replicated", fork: "clear", sql: "SELECT * FROM members ORDER BY node" },
    { name: "tickets", scope: "replicated", fork: "clear", sql: "SELECT * FROM tickets ORDER BY hash" },
  ],
  operations: (node) => [
    ...fleetCommands,
    nodeStatus(node),
    fleetMembers(node),
    fleetSettings(node),
    fleetTransfer(node),
    fleetLeave(node),
  ],
  sections: [conditionsSection, membersSection, cacheSection, nodeSection],
  style,
  frame: fleetFrame,
};
