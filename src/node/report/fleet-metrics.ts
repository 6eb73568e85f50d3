// Metrics of the fleet as this node sees it: sums and extremes, since ids are not used as labels (security.md 17).

import { type FleetPart, ROLES } from "../../fleet/index.ts";
import type { Metrics } from "../../observe/metrics.ts";

/** A member that has not responded for longer is away, in seconds: five beats. */
const AWAY_SECONDS = 5;

/** Registers the gauges; `fleet` is called at each scrape. */
export function fleetMetrics(metrics: Metrics, fleet: () => FleetPart | undefined): void {
  const single = (name: string, help: string, read: (part: FleetPart) => number | undefined): void =>
    metrics.gauge(name, help, [], () => {
      const part = fleet();
      const value = part === undefined ? undefined : read(part);
      return value === undefined ? [] : [[[], value]];
    });
  metrics.gauge("cairn_fleet_members", "Members of the fleet by role.", ["role"], () => {
    const part = fleet();
    if (part === undefined) return [];
    return ROLES.map((role) => [[role], part.members.filter((member) => member.role === role).length] as const);
  });
  single("cairn_fleet_voters", "Members that vote.", ({ fleet: { voters } }) => voters);
  single("cairn_fleet_leading", "1 where this node orders writes.", ({ members }) =>
    members.some(({ self, leader }) => self && leader) ? 1 : 0,
  );
  single("cairn_fleet_leader_known", "1 where a leader is known.", ({ fleet: { leader } }) => (leader === "" ? 0 : 1));
  single("cairn_fleet_term", "Raft's term; grows with each election.", ({ fleet: { term } }) => term);
  single("cairn_fleet_level", "Level up to which commands are proposed.", ({ fleet: { level } }) => level);
  single("cairn_fleet_members_away", "Members that have not responded for five seconds.", ({ members }) => {
    return members.filter(({ self, age_seconds }) => !self && (age_seconds === null || age_seconds > AWAY_SECONDS))
      .length;
  });
  single("cairn_fleet_lag_changes", "How far this node is behind the leader.", ({ members }) => {
    return members.find(({ self }) => self)?.lag ?? undefined;
  });
  single("cairn_fleet_worst_lag_changes", "How far the last full member is behind the leader.", ({ members }) => {
    return Math.max(0, ...members.filter(({ role }) => role !== "edge").map(({ lag }) => lag ?? 0));
  });
  single("cairn_fleet_worst_round_trip_seconds", "Longest round trip of the last beats.", ({ members }) => {
    return Math.max(0, ...members.map(({ round_trip_ms }) => round_trip_ms ?? 0)) / 1000;
  });
  single("cairn_fleet_fsync_seconds", "99th percentile of syncing the log here.", ({ members }) => {
    const own = members.find(({ self }) => self)?.fsync_p99_ms;
    return own === null || own === undefined ? undefined : own / 1000;
  });
}
