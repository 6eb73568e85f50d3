// cairn status: one screen about a node, problems first. Exits 3 when the node is failing.

import type { NodeReport } from "../fleet/index.ts";
import { columns } from "../lib/columns.ts";
import { askNode, isReady } from "./client.ts";
import type { Command } from "./command.ts";
import { memberRows } from "./fleet/table.ts";
import { cell, writeData } from "./output.ts";

/** Asked for, and not true now. */
const UNHEALTHY_EXIT = 3;

export const status: Command = {
  words: ["status"],
  summary: "show what a node is and how it is; exits 3 when it is failing",
  options: [{ flags: "--ready", help: "exit 3 also while the node takes no calls, as while it joins a fleet" }],
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "node_status", {});
    // The node's own answer, which its output schema checked.
    const shown = answer.body as unknown as NodeReport;
    await writeData(invocation.options["json"] === true ? `${answer.text}\n` : screen(shown));
    const lacking = invocation.options["ready"] === true && !(await isReady(invocation));
    return lacking || shown.status === "failing" ? UNHEALTHY_EXIT : 0;
  },
};

type Backup = NonNullable<NodeReport["backup"]>;

function backupLine({ at, position, bytes, target, next }: Backup): string {
  const due = next === null ? "" : `; next ${next}`;
  if (at === null) return `none yet${due}`;
  const hours = Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 3_600_000));
  return `${at} (${hours} h ago) at ${position}, ${bytes} bytes, in ${target}${due}`;
}

type Cache = NonNullable<NodeReport["cache"]>;

function cacheLine(cache: Cache): string {
  const { fresh, age_seconds, entries, bytes, hits, misses, revalidated, stale, stale_spaces } = cache;
  const age = age_seconds === null ? "of unknown age" : `at most ${age_seconds} s old`;
  const answers = `${hits} hits, ${misses} misses, ${revalidated} revalidated, ${stale} stale`;
  const old = stale_spaces.length === 0 ? "no space" : stale_spaces.map(cell).join(", ");
  return `${fresh ? "fresh" : "not fresh"}, ${age}; ${entries} documents in ${bytes} bytes; ${answers}; ${old} may be served stale`;
}

function screen(shown: NodeReport): string {
  const { tailnet } = shown;
  const problems = shown.conditions.map((condition) => [
    condition.severity,
    `${condition.title}: ${condition.text}. ${condition.hint}`,
  ]);
  const key = tailnet.key_expiry === null ? "" : `, key until ${tailnet.key_expiry}`;
  const screenful = columns([
    ["status", shown.status],
    ...problems,
    ["node", `${tailnet.name || "not on a tailnet"}${tailnet.ips.length === 0 ? "" : ` (${tailnet.ips.join(", ")})`}`],
    ["tailnet", `${tailnet.state}, control ${tailnet.control}${tailnet.https ? ", https" : ""}${key}`],
    ["fleet", fleetLine(shown)],
    ["survives", shown.fleet.survives],
    ...shown.urls.slice(0, 1).map((url) => ["MCP", `${url}/mcp`]),
    ...shown.urls.map((url) => ["REST", `${url}/contexts`]),
    ["store", `position ${shown.position}`],
    ...(shown.backup === undefined ? [] : [["backup", backupLine(shown.backup)]]),
    ...(shown.cache === undefined ? [] : [["cache", cacheLine(shown.cache)]]),
    ["version", `${shown.version} (${shown.commit}), up ${shown.uptime_seconds} s, tailnet ${tailnet.engine}`],
  ]);
  return shown.members.length < 2 ? screenful : `${screenful}\n${columns(memberRows(shown.members))}`;
}

function fleetLine({ fleet, role }: NodeReport): string {
  const leader = fleet.leader === "" ? "no leader known" : `leader ${cell(fleet.leader)} in term ${fleet.term}`;
  const id = fleet.id === "" ? "" : ` (${fleet.id.slice(0, 8)})`;
  return `${cell(fleet.name)}${id}, this node ${role}; ${leader}, ${fleet.voters} voting, profile ${fleet.profile}`;
}
