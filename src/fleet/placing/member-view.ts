// The members with the facts of their machines, as this node has them, for fleet_members and fleet_pick. Pure: the
// caller supplies what it knows.

import { busyOf } from "../../observe/machine/busy.ts";
import type { MachineFacts } from "../../observe/machine/facts.ts";
import { ServiceKey } from "../../operation/services.ts";
import { type FleetFacts, fleetPart } from "../fleet-part.ts";
import type { FleetPart, MemberReport } from "../node-status.ts";
import { type MachineReport, STALE_MS } from "./machine-schema.ts";

/** A member as this node sees it. */
export interface MemberView extends Omit<MemberReport, "machine"> {
  /** No beat of it has arrived for seconds. */
  away: boolean;
  /** Undefined where nothing was heard, and from builds that send none. Their age is `machineAgeMs`. */
  machine: MachineFacts | undefined;
  machineAgeMs: number;
}

/** Returns the members with the facts of their machines. */
export const MEMBER_VIEWS: ServiceKey<() => Promise<readonly MemberView[]>> = new ServiceKey("the members' machines");

/** Returns all members; none while this node is in no fleet. `machine`: that of this node. */
export function memberViews(facts: FleetFacts, machine: MachineFacts | undefined): MemberView[] {
  if (!facts.ready || facts.removed) return [];
  return fleetPart(facts).members.map((member) => {
    if (member.self) return { ...member, away: false, machine, machineAgeMs: machine?.ageMs ?? 0 };
    const received = facts.received(member.node);
    const heard = received?.beat.machine;
    const beatAgeMs = received === undefined ? 0 : facts.monotonicMs - received.atMs;
    return {
      ...member,
      away: facts.isAway(member.node),
      machine: heard,
      machineAgeMs: Math.round(beatAgeMs + (heard?.ageMs ?? 0)),
    };
  });
}

/** Returns the facts of a member's machine as the operations show them; null: unknown. */
export function machineReport({
  machine,
  machineAgeMs,
}: Pick<MemberView, "machine" | "machineAgeMs">): MachineReport | null {
  if (machine === undefined) return null;
  const { pressure = {} } = machine;
  const busy = busyOf(machine);
  return {
    os: machine.os,
    arch: machine.arch,
    model: machine.model ?? null,
    labels: [...machine.labels],
    gpu: machine.gpu ?? null,
    busy_percent: busy?.percent ?? null,
    busy_by: busy?.by ?? null,
    cores: machine.cores ?? null,
    load: machine.load ?? null,
    cpu_percent: machine.cpuPercent ?? null,
    pressure: { cpu: pressure.cpu ?? null, memory: pressure.memory ?? null, io: pressure.io ?? null },
    memory_total: machine.memoryTotal ?? null,
    memory_free: machine.memoryFree ?? null,
    disk_total: machine.diskTotal ?? null,
    disk_free: machine.diskFree ?? null,
    temperature_celsius: machine.temperatureC ?? null,
    throttled: machine.throttled ? [...machine.throttled] : null,
    throttled_before: machine.throttledBefore ? [...machine.throttledBefore] : null,
    uptime_seconds: machine.uptimeSeconds ?? null,
    age_seconds: Math.round(machineAgeMs / 100) / 10,
    stale: machineAgeMs > STALE_MS,
  };
}

/** Returns the members of status with their machines. */
export function withMachines(members: FleetPart["members"], views: readonly MemberView[]): FleetPart["members"] {
  const seen = new Map(views.map((view) => [view.node, machineReport(view)]));
  return members.map((member) => ({ ...member, machine: seen.get(member.node) ?? null }));
}
