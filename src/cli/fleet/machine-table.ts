// The machines of the members of a fleet as a table.

import { busyWords, freeWords, heatWords, type MachineReport, type MembersReport } from "../../fleet/index.ts";
import { spanText } from "../../lib/span-text.ts";
import { cell } from "../output.ts";

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
