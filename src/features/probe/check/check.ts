// Runs one check of a probe, and asks before a failure counts whether this node itself is at fault.

import { Fault } from "../../../lib/fault.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import type { SeenMember } from "../../../operation/surroundings.ts";
import { hostAndPort, type ProbeShape } from "../declared.ts";
import { shownDetail } from "../detail.ts";
import type { CheckResult } from "../state.ts";
import { checkCommand } from "./command.ts";
import { checkHttp, latencyProblem } from "./http.ts";
import type { CheckParts, Found } from "./parts.ts";

const REFUSED = /refused/i;

/** What the node knows of its own network. */
export interface OwnNetwork {
  /** Whether the control server answers; undefined where there is none. */
  control: boolean | undefined;
  /** Another check by the host's network was good since this one failed last, or so. */
  othersReached: boolean;
}

/** Checks a probe once. Never rejects, unless `signal` aborts. */
export async function check(
  probe: ProbeShape,
  parts: CheckParts,
  ownNetwork: () => OwnNetwork,
  signal: AbortSignal,
): Promise<CheckResult> {
  const deadline = AbortSignal.timeout(probe.timeout * 1000);
  let found: Found;
  try {
    found = await run(probe, parts, AbortSignal.any([signal, deadline]));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Fault && error.facts.refusedHere === true)
      return { outcome: "blind", cause: "consent", detail: shownDetail(error.message) };
    const late = deadline.aborted;
    const detail = late ? `no answer within ${probe.timeout} s` : reasonOf(error);
    found = { good: false, reached: !late && REFUSED.test(detail), detail };
  }
  const { good, latencyMs, value } = found;
  const detail = shownDetail(found.detail);
  if (good) return { outcome: "good", cause: "", detail, latencyMs, value };
  return { ...judge(probe, found, parts.members(), ownNetwork()), detail, latencyMs, value };
}

function run(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  switch (probe.type) {
    case "http":
      return checkHttp(probe, parts, signal);
    case "tcp":
      return checkTcp(probe, parts, signal);
    case "dns":
      return checkDns(probe, parts, signal);
    case "ping":
      return checkMember(probe, parts, signal);
    case "command":
      return checkCommand(probe, parts, signal);
    case "beat":
      throw new Error("beats come by themselves");
  }
}

/** Tells what is at fault, and whether this node can tell at all. */
function judge(
  probe: ProbeShape,
  { reached, machine, path }: Found,
  members: readonly SeenMember[],
  { control, othersReached }: OwnNetwork,
): Pick<CheckResult, "outcome" | "cause"> {
  if (machine) return { outcome: "bad", cause: "machine" };
  if (reached) return { outcome: "bad", cause: "service" };
  if (probe.type === "command") return { outcome: "bad", cause: "service" };
  const isTailnet = probe.type === "ping" || (hasNetwork(probe) && probe.network === "tailnet");
  if (!isTailnet) {
    if (control === false && !othersReached) return { outcome: "blind", cause: "network" };
    return { outcome: "bad", cause: "path" };
  }
  const others = members.filter(({ self, sleeps }) => !self && !sleeps);
  const hears = others.some(({ away }) => !away);
  if (control === false && !hears) return { outcome: "blind", cause: others.length === 0 ? "control" : "network" };
  if (others.length > 1 && !hears) return { outcome: "blind", cause: "network" };
  const target = memberOf(probe, members);
  if (target?.away === true && !path) return { outcome: "bad", cause: "machine" };
  return { outcome: "bad", cause: control === false ? "control" : "path" };
}

/** Reports whether a probe says by which network it goes. */
function hasNetwork({ type }: ProbeShape): boolean {
  return type === "http" || type === "tcp";
}

/** Returns the member that a probe is about, by the first label of its host. */
function memberOf(probe: ProbeShape, members: readonly SeenMember[]): SeenMember | undefined {
  const { target = "" } = probe;
  const url = probe.type === "http" && URL.canParse(target) ? new URL(target).hostname : undefined;
  const host = url ?? (probe.type === "tcp" ? hostAndPort(target)?.host : undefined) ?? target;
  const name = host.split(".")[0];
  return members.find((member) => member.name === host || member.name === name);
}

async function checkTcp(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  const to = hostAndPort(probe.target ?? "");
  if (to === undefined) throw new Error("the target is no HOST:PORT");
  const beganMs = parts.monotonicMs();
  const connection = await parts.connections.open({ ...to, secure: probe.tls, network: probe.network }, signal);
  const latencyMs = Math.round(parts.monotonicMs() - beganMs);
  connection.on("error", () => {}).destroy();
  const problem = latencyProblem(probe, latencyMs);
  return { good: problem === undefined, reached: true, detail: problem ?? "connected", latencyMs };
}

async function checkDns(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  const beganMs = parts.monotonicMs();
  const answers = await parts.resolve(probe.target ?? "", probe.record, signal);
  const latencyMs = Math.round(parts.monotonicMs() - beganMs);
  const { address } = probe.expect;
  const isThere = address === undefined ? answers.length > 0 : answers.includes(address);
  const shown = answers.slice(0, 5).join(", ");
  const missing = isThere
    ? undefined
    : `${probe.record} is ${shown || "empty"}${address ? `; expected is ${address}` : ""}`;
  const problem = missing ?? latencyProblem(probe, latencyMs);
  return { good: problem === undefined, reached: true, detail: problem ?? shown, latencyMs };
}

/** Goes by the beats that members send each other once a second; that one is down needs another member that says so. */
async function checkMember(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  const member = memberOf(probe, parts.members());
  if (member === undefined) return { good: false, reached: true, detail: `there is no member ${probe.target}` };
  const latencyMs = member.roundTripMs ?? undefined;
  if (member.self) return { good: true, reached: true, detail: "it is this node" };
  if (!member.away) {
    const problem = latencyMs === undefined ? undefined : latencyProblem(probe, latencyMs);
    return { good: problem === undefined, reached: true, detail: problem ?? "it responds", latencyMs };
  }
  const { missing, asked } = await parts.missing(member.node, signal);
  const said = asked === 0 ? "no other member can say more" : `${missing} of ${asked} other members miss it too`;
  const detail = `${member.name} does not respond; ${said}`;
  // With others to ask, most of them must miss it too.
  if (asked > 0 && missing * 2 > asked) return { good: false, reached: false, detail, machine: true };
  return { good: false, reached: false, detail, ...(asked > 0 ? { path: true as const } : {}) };
}
