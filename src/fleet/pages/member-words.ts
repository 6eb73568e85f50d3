// A member in words, for the overview and the page of the fleet.

import type { MemberReport } from "../node-status.ts";

/** A member whose last heartbeat is older than this is marked; one comes each second. */
const LATE_SECONDS = 5;
/** From here on its neighbours take it for gone, as the events say it (docs/events.md). */
const GONE_SECONDS = 10;

/** Returns what it is in the fleet: role, whether it leads or votes, and whether it is the one that says so. */
export function marksOf({ role, leader, votes, self, state }: MemberReport): string {
  const marks = [
    role,
    leader ? "leads" : votes ? "votes" : "",
    self ? "this node" : "",
    state === "leaving" ? state : "",
  ];
  return marks.filter((mark) => mark !== "").join(", ");
}

/** Returns whether its last heartbeat is fresh: by this node's own clock. */
export function lifeOf({ self, age_seconds: age }: MemberReport): "up" | "late" | "gone" | "unknown" {
  if (self) return "up";
  if (age === null) return "unknown";
  return age <= LATE_SECONDS ? "up" : age <= GONE_SECONDS ? "late" : "gone";
}

/** Returns the way to it and the round trip. Without any report of it that is unknown. */
export function wayOf({ self, path, relay, round_trip_ms: ms, age_seconds: age }: MemberReport): string {
  if (self) return "this node";
  if (path === "none" && age === null) return "unknown";
  const way = path === "relay" ? `by relay ${relay}` : path === "none" ? "no path" : path;
  return ms === null ? way : `${way}, ${ms} ms`;
}
