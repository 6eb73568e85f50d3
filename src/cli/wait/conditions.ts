// What `cairn wait` can wait for: each condition asks a node once and says what is missing, or that it holds.

import type { NodeReport } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode, isReady } from "../client.ts";
import { type Invocation, isSet, textOption, textsOption } from "../command.ts";
import { cell } from "../output.ts";

/** A member whose last report is older is taken for one that does not serve, as in the node's health. */
const MAX_REPORT_AGE_SECONDS = 15;

/** What an answer of the node is judged by. */
export interface Seen {
  report: NodeReport;
  /** Whether the node takes calls. */
  ready: boolean;
}

/** One thing that is waited for. Returns what is missing; undefined: it holds. */
export type Condition = (seen: Seen) => string | undefined;

/** Everything that one command waits for. */
export interface Wanted {
  conditions: readonly Condition[];
  /** The position that the node must have applied. */
  position: string | undefined;
}

/** Returns what the options ask for; the node's readiness where they name nothing. Fault `invalid_input`. */
export function wantedBy(invocation: Invocation): Wanted {
  const position = textOption(invocation, "position");
  if (position !== undefined) partsOf(position);
  const conditions = [
    ...(isSet(invocation, "leader") ? [leaderKnown] : []),
    ...textsOption(invocation, "member").map(memberServes),
    ...textsOption(invocation, "without").map(conditionGone),
  ];
  const names = conditions.length > 0 || position !== undefined;
  return { conditions: isSet(invocation, "ready") || !names ? [takesCalls, ...conditions] : conditions, position };
}

/** Asks the node once and returns what is missing; an empty list: everything holds. Throws the Fault of the node. */
export async function missingNow(
  invocation: Invocation,
  { conditions, position }: Wanted,
  options: { answerMs: number; signal: AbortSignal },
): Promise<string[]> {
  const { body } = await askNode(invocation, "node_status", {}, options);
  // The node has checked its answer against the output schema.
  const report = body as unknown as NodeReport;
  const seen = { report, ready: await isReady(invocation, options) };
  const behind = position === undefined ? undefined : await behindOf(invocation, position, report, options);
  return [...(behind === undefined ? [] : [behind]), ...conditions.flatMap((condition) => condition(seen) ?? [])];
}

/** Of another epoch only the node knows whether its history has the position: it refuses what it will never have. */
async function behindOf(
  invocation: Invocation,
  wanted: string,
  report: NodeReport,
  options: { answerMs: number; signal: AbortSignal },
): Promise<string | undefined> {
  const [here, there] = [partsOf(report.position), partsOf(wanted)];
  if (here.epoch === there.epoch)
    return here.seq >= there.seq ? undefined : `the node is at ${report.position}, not yet at ${wanted}`;
  await askNode(invocation, "context_list", { limit: 1, min_position: wanted }, options);
  return undefined;
}

/** Returns epoch and number of a position. Fault `invalid_input` for what is none. */
function partsOf(position: string): { epoch: string; seq: number } {
  const [, epoch, seq] = /^([0-9a-f]{10})-(\d{1,15})$/.exec(position) ?? [];
  if (epoch !== undefined && seq !== undefined) return { epoch, seq: Number(seq) };
  throw new Fault("invalid_input", `--position must be a position, not ${JSON.stringify(position.slice(0, 80))}`, {
    hint: "Give one from an earlier answer, such as 3f9a0c12be-42.",
  });
}

/** Whether the node takes calls. */
export function takesCalls({ ready, report }: Seen): string | undefined {
  if (ready) return undefined;
  const why = report.conditions.filter(({ severity }) => severity !== "info");
  const shown = (why.length === 0 ? report.conditions : why).map(({ code }) => cell(code)).join(", ");
  return `the node takes no calls yet${shown === "" ? "" : ` (${shown})`}`;
}

/** Whether the node knows a leader. */
export function leaderKnown({ report }: Seen): string | undefined {
  return report.fleet.leader === "" ? "no leader is known" : undefined;
}

function memberServes(name: string): Condition {
  return ({ report, ready }) => {
    const member = report.members.find((each) => each.name === name || each.node === name);
    if (member === undefined) return `there is no member ${cell(name)}`;
    if (member.state !== "active") return `the member ${cell(name)} is ${member.state}`;
    if (member.self) return ready ? undefined : `the member ${cell(name)} takes no calls yet`;
    const age = member.age_seconds;
    if (age === null) return `no report of the member ${cell(name)} is known to this node`;
    return age <= MAX_REPORT_AGE_SECONDS ? undefined : `the last report of the member ${cell(name)} is ${age} s old`;
  };
}

function conditionGone(code: string): Condition {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(code)) {
    throw new Fault("invalid_input", `--without must be the code of a condition, not ${JSON.stringify(code)}`, {
      hint: "docs/commands.md lists them, and cairn status --json shows those that hold.",
    });
  }
  return ({ report }) => (report.conditions.some((held) => held.code === code) ? `${code} holds` : undefined);
}
