// Whether this command is part of the node that it would restart: started by one of its jobs, services or terminals, it
// ends with the node, half way.

import { readFileSync } from "node:fs";
import { Fault } from "../../lib/fault.ts";
import { runManager } from "../service/manager.ts";
import { UNIT } from "../service/systemd.ts";

/** A chain of starters is at most so long. */
const MAX_STARTERS = 64;

/** Throws Fault `invalid_input` where the process `pid`, a node, takes this one along when it ends. */
export async function refuseInside(pid: number, own: number = process.pid): Promise<void> {
  if (!isInUnitOf(pid, own) && !(await isStartedBy(pid, own))) return;
  throw new Fault("invalid_input", `The node (pid ${pid}) that would be restarted has started this command itself`, {
    hint:
      "It would end with the node, half way. Start it beside the node: in a shell of the machine, by ssh, " +
      "or as a unit of its own with systemd-run --collect cairn upgrade ….",
  });
}

/** Reports whether systemd ends this process with the unit of that one: what has left its starters is still in it. */
function isInUnitOf(pid: number, own: number): boolean {
  const [unit, ours] = [groupOf(pid), groupOf(own)];
  return unit.endsWith(`/${UNIT}`) && (ours === unit || ours.startsWith(`${unit}/`));
}

/** Returns the control group that systemd gave a process; "" where it has none, or where it cannot be seen. */
function groupOf(pid: number): string {
  const text = readProcess(pid, "cgroup");
  return (/^\d+:name=systemd:(\/.+)$/m.exec(text) ?? /^0::(\/.*)$/m.exec(text))?.[1] ?? "";
}

async function isStartedBy(pid: number, own: number): Promise<boolean> {
  let at = own;
  for (let steps = 0; at > 1 && steps < MAX_STARTERS; steps += 1) {
    at = await starterOf(at);
    if (at === pid) return true;
  }
  return false;
}

async function starterOf(pid: number): Promise<number> {
  if (process.platform === "linux") {
    const stat = readProcess(pid, "stat");
    // The name in brackets may contain anything, blanks and brackets too.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
  }
  return Number((await runManager(["ps", "-o", "ppid=", "-p", String(pid)])).out);
}

function readProcess(pid: number, file: "cgroup" | "stat"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
