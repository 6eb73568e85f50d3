// cairn status: one screen about a node, problems first.

import type { NodeReport } from "../fleet/index.ts";
import { columns } from "../lib/columns.ts";
import { counted } from "../lib/counted.ts";
import { askNode, isReady } from "./client.ts";
import { type Command, isSet } from "./command.ts";
import { NEGATIVE_EXIT } from "./exit.ts";
import { memberRows } from "./fleet/member-table.ts";
import { cell, showAnswer } from "./output.ts";

/** `cairn status`. */
export const status: Command = {
  words: ["status"],
  operation: "node_status",
  summary: "show the state of a node; exits 3 when it is failing",
  options: [{ flags: "--ready", help: "exit 3 also while the node takes no calls, such as while it joins a fleet" }],
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "node_status", {});
    // The node has checked its answer against the output schema.
    const report = answer.body as unknown as NodeReport;
    await showAnswer(invocation, answer, () => screen(report));
    const isUnready = isSet(invocation, "ready") && !(await isReady(invocation));
    return isUnready || report.status === "failing" ? NEGATIVE_EXIT : 0;
  },
};

type Backup = NonNullable<NodeReport["backup"]>;

function backupLine({ at, position, bytes, target, next }: Backup): string {
  const due = next === null ? "; none is scheduled" : `; next ${next}`;
  if (at === null) return next === null ? "none, and none is scheduled" : `none yet${due}`;
  const hours = Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 3_600_000));
  return `${at} (${hours} h ago) at ${position}, ${counted(bytes ?? 0, "byte")}, in ${target}${due}`;
}

type Cache = NonNullable<NodeReport["cache"]>;

function cacheLine(cache: Cache): string {
  const { fresh, age_seconds, entries, bytes, hits, misses, revalidated, stale, stale_spaces } = cache;
  const age = age_seconds === null ? "of unknown age" : `at most ${age_seconds} s old`;
  const answers = `${counted(hits, "hit")}, ${counted(misses, "miss", "misses")}, ${revalidated} revalidated, ${stale} stale`;
  const staleSpaces = stale_spaces.length === 0 ? "no space" : stale_spaces.map(cell).join(", ");
  const size = `${counted(entries, "document")} in ${counted(bytes, "byte")}`;
  return `${fresh ? "fresh" : "not fresh"}, ${age}; ${size}; ${answers}; ${staleSpaces} may be served stale`;
}

function screen(report: NodeReport): string {
  const { tailnet } = report;
  const problems = report.conditions.map((condition) => [
    condition.severity,
    `${condition.title}: ${condition.text}. ${condition.hint}`,
  ]);
  const isLocal = tailnet.engine === "loopback";
  const key = tailnet.key_expiry === null ? "" : `, key until ${tailnet.key_expiry}`;
  const screenful = columns([
    ["status", report.status],
    ...problems,
    ["node", `${tailnet.name || "not on a tailnet"}${tailnet.ips.length === 0 ? "" : ` (${tailnet.ips.join(", ")})`}`],
    [
      "tailnet",
      isLocal
        ? "none: this node is for this machine only"
        : `${tailnet.state}, control ${tailnet.control}${tailnet.https ? ", https" : ""}${key}`,
    ],
    ["fleet", fleetLine(report)],
    ["survives", report.fleet.survives],
    ...(report.fleet.settings === undefined ? [] : [["limits", limitsLine(report.fleet.settings)]]),
    ...report.urls.slice(0, 1).map((url) => ["MCP", `${url}/mcp`]),
    ...report.urls.map((url) => ["REST", `${url}/contexts`]),
    ["store", `position ${report.position}`],
    ...(report.backup === undefined ? [] : [["backup", backupLine(report.backup)]]),
    ...(report.cache === undefined ? [] : [["cache", cacheLine(report.cache)]]),
    ["version", `${report.version} (${report.commit}), up ${report.uptime_seconds} s, tailnet ${tailnet.engine}`],
  ]);
  return report.members.length < 2 ? screenful : `${screenful}\n${columns(memberRows(report.members))}`;
}

function limitsLine(settings: Readonly<Record<string, string>>): string {
  const changed = Object.entries(settings).map(([name, value]) => `${cell(name)} ${cell(value) || "empty"}`);
  return `${changed.length === 0 ? "as built in" : changed.join(", ")}; see cairn fleet settings`;
}

function fleetLine({ fleet, role }: NodeReport): string {
  const leader = fleet.leader === "" ? "no leader known" : `leader ${cell(fleet.leader)} in term ${fleet.term}`;
  const id = fleet.id === "" ? "" : ` (${fleet.id.slice(0, 8)})`;
  return `${cell(fleet.name)}${id}, this node ${role}; ${leader}, ${fleet.voters} voting, profile ${fleet.profile}`;
}
