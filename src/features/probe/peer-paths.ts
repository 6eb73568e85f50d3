// What full members ask of each other about probes: what a member says of its own, results, a check now, and whether it
// misses another member. Edges may ask none of it.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { SeenMember } from "../../operation/surroundings.ts";
import type { PeerHandler, PeerMember } from "../../peer/server.ts";
import { MAX_KEPT } from "./ring.ts";
import type { Report, Runner } from "./runner.ts";
import { CAUSES, STATES } from "./state.ts";

/** Time for an answer that is known already, and for a check, in ms. */
const ASK_MS = 5000;
const CHECK_MS = 75_000;
const MAX_DETAIL = 300;

const nothing = z.object({});
const named = z.object({ name: z.string().regex(DECLARED_NAME) });
const sight = z.object({ node: z.string().max(64) });

const report = z.object({
  name: z.string().regex(DECLARED_NAME),
  state: z.enum(STATES),
  cause: z.enum(CAUSES),
  detail: z.string().max(MAX_DETAIL),
  value: z.number().optional(),
  ageMs: z.number().min(0).optional(),
});
const reportsAnswer = z.object({ ready: z.boolean(), reports: z.array(report).max(2000) });
const result = z.object({
  atMs: z.number(),
  good: z.boolean(),
  latencyMs: z.number().optional(),
  value: z.number().optional(),
  detail: z.string().max(MAX_DETAIL),
});
/** Results of a probe. */
export const resultsShape = z.array(result).max(MAX_KEPT);
const resultsAnswer = z.object({ results: resultsShape.optional() });
const checkAnswer = z.object({
  result: z
    .object({
      outcome: z.enum(["good", "bad", "blind"]),
      cause: z.enum(CAUSES),
      detail: z.string().max(MAX_DETAIL),
      latencyMs: z.number().optional(),
      value: z.number().optional(),
    })
    .optional(),
});
const sightAnswer = z.object({ away: z.boolean().optional() });

/** Returns the peer paths of a full member. */
export function probePeerPaths(
  runner: Runner,
  members: () => readonly SeenMember[],
  // biome-ignore lint/suspicious/noExplicitAny: paths of every schema; the server parses before it calls
): Readonly<Record<string, PeerHandler<any>>> {
  const full = <S extends z.ZodType>(schema: S, answer: (input: z.output<S>) => unknown): PeerHandler<S> => ({
    schema,
    async handle({ member, input }) {
      refuseEdge(member);
      return answer(input);
    },
  });
  return {
    probe_reports: full(nothing, () => ({ ready: runner.isReady, reports: runner.reports("member") })),
    probe_results: full(named, ({ name }) => ({ results: runner.results(name) })),
    probe_run: full(named, async ({ name }) => ({ result: await runner.checkNow(name) })),
    probe_sight: full(sight, ({ node }) => ({ away: members().find((each) => each.node === node)?.away })),
  };
}

function refuseEdge(member: PeerMember | undefined): void {
  if (member !== undefined && member.role !== "edge") return;
  throw new Fault("forbidden", "Only full members ask this about probes");
}

/** Asks a member for the reports of its own probes. */
export async function askReports(members: FullMembers, node: string, signal: AbortSignal): Promise<readonly Report[]> {
  const answer = await members.ask(node, "probe_reports", {}, { signal, timeoutMs: ASK_MS });
  const { ready, reports } = reportsAnswer.parse(answer);
  if (!ready) throw new Fault("not_ready", `The node ${node} does not know its probes yet`);
  return reports;
}

/** Asks a member for the results of a probe; undefined: it does not run it. */
export async function askResults(members: FullMembers, node: string, name: string, signal: AbortSignal) {
  return resultsAnswer.parse(await members.ask(node, "probe_results", { name }, { signal, timeoutMs: ASK_MS })).results;
}

/** Asks a member to check a probe now; undefined: it does not run it. */
export async function askCheck(members: FullMembers, node: string, name: string, signal: AbortSignal) {
  return checkAnswer.parse(await members.ask(node, "probe_run", { name }, { signal, timeoutMs: CHECK_MS })).result;
}

/** Asks the other full members whether they miss a member. Those that do not answer say nothing. */
export async function askMissing(
  members: FullMembers,
  node: string,
  signal: AbortSignal,
): Promise<{ missing: number; asked: number }> {
  const others = members.others().filter((each) => each.node !== node);
  const said = await Promise.all(
    others.map(async (each) => {
      const options = { signal, timeoutMs: ASK_MS };
      const answer = await members.ask(each.node, "probe_sight", { node }, options).catch(() => undefined);
      return sightAnswer.safeParse(answer).data?.away;
    }),
  );
  const answered = said.filter((away) => away !== undefined);
  return { missing: answered.filter(Boolean).length, asked: answered.length };
}
