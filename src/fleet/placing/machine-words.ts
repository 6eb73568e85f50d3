// A machine in words for people, on the command line and on the pages.

import { sizeText } from "../../lib/byte-size.ts";
import { counted } from "../../lib/counted.ts";
import type { MachineReport } from "./machine-schema.ts";

/** Returns how busy it is, and by what. */
export function busyWords({ busy_percent, busy_by }: MachineReport): string {
  return busy_percent === null ? "unknown" : `${busy_percent} % (${busy_by})`;
}

/** Returns how much of a size is free. */
export function freeWords(free: number | null, total: number | null): string {
  if (free === null) return "unknown";
  return total === null ? sizeText(free) : `${sizeText(free)} of ${sizeText(total)}`;
}

/** Returns the temperature, and whether the machine slows itself down. */
export function heatWords({ temperature_celsius, throttled, throttled_before }: MachineReport): string {
  const degrees = temperature_celsius === null ? "unknown" : `${temperature_celsius} °C`;
  const now = (throttled ?? []).map(plain);
  const before = (throttled_before ?? []).filter((word) => throttled?.includes(word) !== true).map(plain);
  const slowed = now.length === 0 ? "" : `, slowed down: ${now.join(", ")}`;
  return `${degrees}${slowed}${before.length === 0 ? "" : `, earlier: ${before.join(", ")}`}`;
}

function plain(word: string): string {
  return word.replaceAll("_", " ");
}

/** Returns what is known of it, for a line of text. */
export function machineWords(machine: MachineReport): string[] {
  const { cores, memory_free, memory_total, disk_free, disk_total, temperature_celsius, throttled, model } = machine;
  const isHeatKnown = temperature_celsius !== null || (throttled ?? []).length > 0;
  return [
    machine.stale ? `as it was ${Math.round(machine.age_seconds)} s ago` : "",
    model ?? "",
    `busy: ${busyWords(machine)}`,
    cores === null ? "" : counted(cores, "CPU"),
    memory_free === null ? "" : `memory free: ${freeWords(memory_free, memory_total)}`,
    disk_free === null ? "" : `disk free: ${freeWords(disk_free, disk_total)}`,
    isHeatKnown ? heatWords(machine) : "",
    machine.labels.join(", "),
  ].filter((fact) => fact !== "");
}
