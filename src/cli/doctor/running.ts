// Checks of what a running node says about itself: its tailnet, its name and key, its grants, the ports it serves, and every other condition.

import type { Loaded } from "../../config/load.ts";
import type { NodeReport } from "../../fleet/index.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { openHostPorts } from "./host-ports.ts";

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_DAYS = 14;
/** Conditions that have a check of their own. */
const TOLD = new Set([
  "control_unreachable",
  "key_expires_soon",
  "key_expired",
  "grant_invalid",
  "policy_invalid",
  "needs_login",
  "needs_approval",
  "starting",
]);

/** All checks over the node's report. */
export function checkRunning(
  report: NodeReport,
  settings: Loaded["settings"],
  pid: number | undefined,
  nowMs: number,
): Finding[] {
  return [
    checkControl(report),
    checkName(report, settings.hostname),
    checkKey(report, nowMs),
    checkGrants(report),
    checkPorts(report, pid),
    ...checkBackup(report, nowMs),
    ...report.conditions
      .filter(({ code }) => !TOLD.has(code))
      .map(({ severity, title, text, hint }) =>
        severity === "error"
          ? fail(title.toLowerCase(), text, hint)
          : severity === "warning"
            ? warn(title.toLowerCase(), text, hint)
            : ok(title.toLowerCase(), text),
      ),
  ];
}

function conditionOf(report: NodeReport, ...codes: string[]): NodeReport["conditions"][number] | undefined {
  return report.conditions.find(({ code }) => codes.includes(code));
}

function checkControl(report: NodeReport): Finding {
  const { engine, state, control } = report.tailnet;
  if (engine === "loopback") return ok("control", "none: this node is on no tailnet");
  const waits = conditionOf(report, "needs_login", "needs_approval");
  if (waits !== undefined) return fail("control", waits.text, waits.hint);
  const away = conditionOf(report, "control_unreachable");
  if (away !== undefined) return warn("control", away.text, away.hint);
  return state === "Running" && control === "connected"
    ? ok("control", "connected")
    : warn("control", `the tailnet is ${state}, control ${control}`, "Wait a moment; if it stays, see the node's log.");
}

/** The control server gives another name when a device of that name is there already. */
function checkName(report: NodeReport, wanted: string): Finding {
  const { name, engine, state } = report.tailnet;
  if (engine === "loopback" || name === "") return ok("name", name === "" ? `${state}, no name yet` : name);
  const [given] = name.split(".");
  if (given === wanted) return ok("name", name);
  return warn(
    "name",
    `the tailnet calls this node ${name}, and ${wanted} was asked for`,
    `Remove the other device called ${wanted} in the admin console and rename this one, or set --hostname ${given}.`,
  );
}

function checkKey(report: NodeReport, nowMs: number): Finding {
  const expired = conditionOf(report, "key_expired");
  if (expired !== undefined) return fail("key expiry", expired.text, expired.hint);
  const { key_expiry: expiry } = report.tailnet;
  if (expiry === null) return ok("key expiry", "the node key does not expire");
  const days = Math.floor((Date.parse(expiry) - nowMs) / DAY_MS);
  const text = `the node key expires in ${days} days, at ${expiry}`;
  if (days >= EXPIRY_WARNING_DAYS) return ok("key expiry", text);
  return warn("key expiry", text, "Log in again, disable key expiry for this node, or give it a tag.");
}

function checkGrants(report: NodeReport): Finding {
  const policy = conditionOf(report, "policy_invalid");
  if (policy !== undefined) return fail("grants", policy.text, policy.hint);
  const grant = conditionOf(report, "grant_invalid");
  if (grant !== undefined) return warn("grants", grant.text, grant.hint);
  return ok("grants", "none that was seen is worth nothing; cairn access explain says who may do what");
}

/** That the last one failed, or is too old, are conditions. */
function checkBackup({ backup }: NodeReport, nowMs: number): Finding[] {
  if (backup === undefined) return [];
  const { at, target, next } = backup;
  const due = next === null ? "none is due" : `the next is due at ${next}`;
  if (at === null && next === null)
    return [
      warn(
        "backup",
        "there is none, and none is due",
        "Set backup.schedule to daily, or make one with cairn backup now.",
      ),
    ];
  if (at === null) return [ok("backup", `none yet; ${due}`)];
  const hours = Math.max(0, Math.floor((nowMs - Date.parse(at)) / 3_600_000));
  return [ok("backup", `the last good one is ${hours} h old, in ${target}; ${due}`)];
}

/** What is served on the tailnet, and that nothing is served on the host. */
function checkPorts(report: NodeReport, pid: number | undefined): Finding {
  const open = pid === undefined ? undefined : openHostPorts(pid);
  const beyond = open?.filter(({ loopback }) => !loopback) ?? [];
  if (beyond.length > 0) {
    const named = beyond.map(({ port }) => port).join(", ");
    return fail(
      "ports",
      `the process listens on ports of this host: ${named}`,
      "Cairn opens none: see what else runs in it.",
    );
  }
  const [url] = report.urls;
  if (url === undefined)
    return warn("ports", "nothing is served on the tailnet yet", "Wait until it has joined; see control above.");
  const host =
    open === undefined ? "" : open.length === 0 ? "; no port of this host is open" : "; 127.0.0.1 only besides";
  return ok("ports", `served at ${report.urls.join(", ")}${host}`);
}
