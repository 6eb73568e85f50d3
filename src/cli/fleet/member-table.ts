// The members of a fleet as tables: how they do, for cairn status and cairn members, and their machines.

import {
  busyWords,
  freeWords,
  heatWords,
  type MachineReport,
  type MembersReport,
  type NodeReport,
} from "../../fleet/index.ts";
import { spanText } from "../../lib/span-text.ts";
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

/** Returns the machines of the members, with a header. */
export function machineRows(members: MembersReport["members"]): string[][] {
  const head = ["name", "busy", "load", "CPUs", "wait", "memory free", "disk free", "heat", "up", "seen", "labels"];
  return [head, ...members.map(({ name, machine }) => [cell(name), ...(machine ? machineOf(machine) : NOTHING)])];
}

const NOTHING = [...Array.from({ length: 8 }, () => "-"), "never", "unknown"];

function machineOf(machine: MachineReport): string[] {
  const { pressure, load, cores, memory_free, memory_total, disk_free, disk_total, uptime_seconds } = machine;
  const waits = [pressure.cpu, pressure.memory, pressure.io].map((share) => (share === null ? "?" : Math.round(share)));
  return [
    busyWords(machine),
    load === null ? "unknown" : load.toFixed(2),
    cores === null ? "unknown" : String(cores),
    waits.every((share) => share === "?") ? "unknown" : `${waits.join("/")} %`,
    freeWords(memory_free, memory_total),
    freeWords(disk_free, disk_total),
    heatWords(machine),
    uptime_seconds === null ? "unknown" : spanText(uptime_seconds * 1000),
    `${Math.round(machine.age_seconds)} s ago${machine.stale ? ", stale" : ""}`,
    cell([machine.model ?? "", machine.labels.join(", ")].filter((part) => part !== "").join(": ")),
  ];
}
