// Jobs over one store and log, with a clock that the test moves: actions are declared by the test, and the node leads.

import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { ACTION } from "../../src/features/job/action.ts";
import { CLAIMS, Claims } from "../../src/features/job/claims.ts";
import { jobFeature } from "../../src/features/job/index.ts";
import { OFFERS } from "../../src/features/job/offer.ts";
import type { DeclaredKind } from "../../src/operation/declared-kind.ts";
import { callerWith } from "./core.ts";
import { startDeclarations } from "./declarations.ts";
import { eventually } from "./eventually.ts";

const BEGIN_MS = Date.parse("2026-11-30T12:00:00Z");

/** Callers by name: ann and bob may write in the space team, ray may read there, zoe may do nothing. */
export const PEOPLE: Readonly<Record<string, Caller>> = Object.fromEntries(
  (
    [
      ["ann", "member"],
      ["bob", "member"],
      ["ray", "reader"],
      ["zoe", undefined],
    ] as const
  ).map(([name, role]) => [
    name,
    callerWith({ id: `n${name}`, login: `${name}@x`, grants: role === undefined ? [] : [{ role, spaces: ["team"] }] }),
  ]),
);

/** A job as the operations show it. */
export interface Shown {
  id: string;
  state: string;
  attempt: number;
  error?: string;
  waits_for?: string;
  worker?: string;
  output_sha256?: string;
  schedule?: string;
}

/** What job_claim returns. */
export interface ClaimedJob {
  id: string;
  fence: string;
  attempt: number;
  input: Record<string, unknown>;
  checkpoint?: string;
}

/** Starts it. `isReal`: its clock goes on by itself too. */
export function startJobs({
  kinds = [ACTION],
  isReal = false,
}: {
  kinds?: readonly DeclaredKind[];
  isReal?: boolean;
} = {}) {
  let elapsedMs = 0;
  const began = performance.now();
  const passedMs = () => elapsedMs + (isReal ? performance.now() - began : 0);
  const nowMs = () => BEGIN_MS + Math.floor(passedMs());
  const node = startDeclarations({ kinds, others: [agentFeature, jobFeature], nowMs });
  const claims = new Claims({
    ...{ reader: node.store.reader, log: () => node.log, say: () => {} },
    onLost: (worker) => node.services.find(OFFERS)?.forget(worker),
    clock: { nowMs: passedMs, since: "test", stepMs: 0 },
  });
  node.services.provide(CLAIMS, claims);
  let leading = new AbortController();
  claims.lead({ signal: leading.signal });
  const as = (who: string, operation: string, input: Record<string, unknown>) =>
    node.call(operation, input, PEOPLE[who]);
  const declareAction = async (name: string, more: Record<string, unknown> = {}, kind: DeclaredKind = ACTION) => {
    const content = kind === ACTION ? { space: "team", ...more } : more;
    const { version } = await node.call("context_put", { id: `fleet/${kind.place}/${name}`, content });
    await eventually(
      `${name} is in force`,
      () => node.declarations.list(kind).some((each) => each.name === name && each.version === version),
      { seen: () => node.conditionText("declaration_refused") },
    );
  };
  return {
    ...node,
    ...{ claims, nowMs, as, declareAction },
    start: async (action: string, more: Record<string, unknown> = {}) =>
      (await as("ann", "job_start", { action, space: "team", ...more })) as unknown as Shown,
    claim: async (...actions: string[]) =>
      (await as("bob", "job_claim", { space: "team", actions }))["job"] as ClaimedJob | undefined,
    get: async (id: string) =>
      (await as("ray", "job_get", { id })) as unknown as {
        job: Shown;
        progress?: string;
        checkpoint?: string;
        result?: string;
      },
    /** Lets time go by; the leader looks at the end. */
    pass: async (seconds: number) => {
      elapsedMs += seconds * 1000;
      claims.look();
      // What it proposed is applied in the turns after.
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
    /** Another term of leadership, as of a node that knows no heartbeats. */
    leadAnew: () => {
      leading.abort();
      leading = new AbortController();
      claims.lead({ signal: leading.signal });
    },
    /** The outcomes of changes of a job, oldest first. */
    outcomes: (id: string) =>
      node.store.reader
        .all<{ outcome: string }>(
          "SELECT outcome FROM changes WHERE target = ? ORDER BY seq",
          id.replace("/", "/jobs/"),
        )
        .map(({ outcome }) => outcome),
    [Symbol.asyncDispose]: async () => {
      leading.abort();
      await node[Symbol.asyncDispose]();
    },
  };
}
