// Checks of a running node by its own report: tailnet, name, key, grants, ports, backups, and every other condition.

import type { Loaded } from "../../config/load.ts";
import type { NodeReport } from "../../fleet/index.ts";
import { counted } from "../../lib/counted.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { openHostPorts } from "./host-ports.ts";

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_DAYS = 14;
/** Conditions that the checks below cover. */
const COVERED = new Set([
  "control_unreachable",
  "key_expires_soon",
  "key_expired",
  "grant_invalid",
  "policy_invalid",
  "needs_login",
  "needs_approval",
  "starting",
]);

/** Runs all checks of a node's report. `pid` is its process, where that is known. */
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
    ...report.conditions.filter(({ code }) => !COVERED.has(code)).map(findingOf),
  ];
}

function findingOf({ severity, title, text, hint }: NodeReport["conditions"][number]): Finding {
  const check = title.toLowerCase();
  if (severity === "error") return fail(check, text, hint);
  return severity === "warning" ? warn(check, text, hint) : ok(check, text);
}

function conditionOf(report: NodeReport, ...codes: string[]): NodeReport["conditions"][number] | undefined {
  return report.conditions.find(({ code }) => codes.includes(code));
}

function checkControl(report: NodeReport): Finding {
  const { engine, state, control } = report.tailnet;
  if (engine === "loopback") return ok("control", "none: this node is not on a tailnet");
  const waiting = conditionOf(report, "needs_login", "needs_approval");
  if (waiting !== undefined) return fail("control", waiting.text, waiting.hint);
  const unreachable = conditionOf(report, "control_unreachable");
  if (unreachable !== undefined) return warn("control", unreachable.text, unreachable.hint);
  return state === "Running" && control === "connected"
    ? ok("control", "connected")
    : warn(
        "control",
        `the tailnet is ${state}, control ${control}`,
        "Wait a moment; if this does not change, see the node's log.",
      );
}

/** The control server assigns another name when the wanted one is taken. */
function checkName(report: NodeReport, wanted: string): Finding {
  const { name, engine, state } = report.tailnet;
  if (engine === "loopback") return ok("name", "none: this node is not on a tailnet");
  if (name === "") return ok("name", `${state}, no name yet`);
  const [given] = name.split(".");
  if (given === wanted) return ok("name", name);
  return warn(
    "name",
    `the name of this node on the tailnet is ${name}, not ${wanted}`,
    `Nothing is wrong if the node was started with --hostname ${given}, which is not seen here. Otherwise another ` +
      `device is called ${wanted}: remove that one in the admin console and rename this one, or set --hostname ${given}.`,
  );
}

function checkKey(report: NodeReport, nowMs: number): Finding {
  const expired = conditionOf(report, "key_expired");
  if (expired !== undefined) return fail("key expiry", expired.text, expired.hint);
  const { key_expiry: expiry } = report.tailnet;
  if (expiry === null) return ok("key expiry", "the node key does not expire");
  const days = Math.floor((Date.parse(expiry) - nowMs) / DAY_MS);
  const text = `the node key expires in ${counted(days, "day")}, at ${expiry}`;
  if (days >= EXPIRY_WARNING_DAYS) return ok("key expiry", text);
  return warn("key expiry", text, "Log in again, disable key expiry for this node, or give it a tag.");
}

function checkGrants(report: NodeReport): Finding {
  const policy = conditionOf(report, "policy_invalid");
  if (policy !== undefined) return fail("grants", policy.text, policy.hint);
  const grant = conditionOf(report, "grant_invalid");
  if (grant !== undefined) return warn("grants", grant.text, grant.hint);
  return ok("grants", "no invalid grant has been seen; cairn access explain shows who may do what");
}

/** A failed or outdated backup is a condition; this reports the rest. */
function checkBackup({ backup }: NodeReport, nowMs: number): Finding[] {
  if (backup === undefined) return [];
  const { at, target, next } = backup;
  const due = next === null ? "none is scheduled" : `the next is due at ${next}`;
  if (at === null && next === null)
    return [
      warn(
        "backup",
        "there is none, and none is scheduled",
        "Set backup.schedule to daily, or make one with cairn backup now.",
      ),
    ];
  if (at === null) return [ok("backup", `none yet; ${due}`)];
  const hours = Math.max(0, Math.floor((nowMs - Date.parse(at)) / 3_600_000));
  return [ok("backup", `the last good one is ${hours} h old, in ${target}; ${due}`)];
}

/** Checks that the node is served on the tailnet, and on no port of this host. */
function checkPorts(report: NodeReport, pid: number | undefined): Finding {
  const open = pid === undefined ? undefined : openHostPorts(pid);
  const beyond = open?.filter(({ loopback }) => !loopback) ?? [];
  if (beyond.length > 0) {
    const ports = beyond.map(({ port }) => port).join(", ");
    return fail(
      "ports",
      `the process listens on ports of this host: ${ports}`,
      "Cairn opens none: find out what else runs in that process.",
    );
  }
  const [url] = report.urls;
  if (url === undefined)
    return warn("ports", "nothing is served on the tailnet yet", "Wait until it has joined; see the check control.");
  const host =
    open === undefined
      ? ""
      : open.length === 0
        ? "; no port of this host is open"
        : "; other ports are open on 127.0.0.1 only";
  return ok("ports", `served at ${report.urls.join(", ")}${host}`);
}
