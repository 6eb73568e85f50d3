// The members of a fleet as a table: how they do. Their machines are machine-table.ts.

import type { NodeReport } from "../../fleet/index.ts";
import { cell } from "../output.ts";

type Member = NodeReport["members"][number];

/** Returns the rows, with a header. */
export function memberRows(members: readonly Member[]): string[][] {
  const head = ["name", "role", "vote", "position", "behind", "path", "round trip", "disk", "last seen", "version"];
  return [head, ...members.map(rowOf)];
}

function rowOf(member: Member): string[] {
  const { path, relay, round_trip_ms, fsync_p99_ms, age_seconds, lag } = member;
  const voteMarks = [
    member.leader ? "leader" : member.votes ? "votes" : "-",
    ...(member.state === "leaving" ? ["leaving"] : []),
  ];
  return [
    `${cell(member.name)}${member.self ? " (this)" : ""}`,
    member.role,
    voteMarks.join(", "),
    member.position || "-",
    lag === null ? "-" : String(lag),
    path === "relay" ? `relay ${cell(relay)}` : path,
    round_trip_ms === null ? "-" : `${round_trip_ms} ms`,
    fsync_p99_ms === null || fsync_p99_ms === 0 ? "-" : `${fsync_p99_ms} ms`,
    member.self ? "now" : age_seconds === null ? "never" : `${age_seconds} s ago`,
    cell(member.version),
  ];
}
