// job_work: what the workers of nodes tell the leader, and what it answers. One call does all for one node: it offers
// its free places, reports on its attempts, keeps their claims, and learns which claims it has.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { callingMember } from "../../operation/ask-self.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { type CallContext, type Operation, read } from "../../operation/define.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { CLAIMS } from "./claims.ts";
import { attemptReport, jobNote, MAX_AT_ONCE, type Note } from "./internal.ts";
import { activeJobs, claimText, JOB_LEVEL, jobId, jobOf } from "./rows.ts";

/** Most attempts that a node has at once. */
export const MAX_SLOTS = 32;
/** Most actions of one offer. */
export const MAX_OFFERED = 1000;
/** Characters of the notes of one command, about. */
const MAX_NOTED = 192 * 1024;
const MAX_PROGRESS = 300;

/** What a node offers. */
export interface Offer {
  node: string;
  boot: string;
  free: number;
  actions: ReadonlySet<string>;
  /** By the monotonic clock of the leader. */
  atMs: number;
}

/** The offers that came lately, by node; on the leader. As many as there are members. */
export class Offers {
  readonly #byNode = new Map<string, Offer>();

  put(offer: Offer): void {
    this.#byNode.set(offer.node, offer);
  }

  /** Forgets that of a node, until it makes another one. */
  forget(node: string): void {
    this.#byNode.delete(node);
  }

  /** Returns those that are younger than so many ms, and forgets the others. */
  fresh(ageMs: number): Offer[] {
    const nowMs = performance.now();
    for (const [node, { atMs }] of this.#byNode) if (nowMs - atMs > ageMs) this.#byNode.delete(node);
    return [...this.#byNode.values()];
  }
}

/** The offers of the nodes. */
export const OFFERS: ServiceKey<Offers> = new ServiceKey("the offers of workers");

const input = z.object({
  boot: z.string().min(1).max(64).describe("Names the process of the node."),
  free: z.number().int().min(0).max(MAX_SLOTS).describe("Attempts that it could begin."),
  actions: z.array(z.string().regex(DECLARED_NAME)).max(MAX_OFFERED).describe("Actions that it agrees to run."),
  attempts: z
    .array(attemptReport.extend({ progress: z.string().max(MAX_PROGRESS) }))
    .max(MAX_SLOTS)
    .describe("Attempts that it has, with how they ended."),
});

const given = z.object({
  id: jobId,
  n: z.number(),
  seq: z.number(),
  action: z.string(),
  space: z.string(),
  attempt: z.number(),
  timeout_ms: z.number(),
  ttl_ms: z.number(),
  keep_ms: z.number(),
  cancel: z.boolean(),
  input: z.record(z.string(), z.unknown()).optional().describe("Of those that were not reported."),
  checkpoint: z.string().optional(),
});
/** A claim of a node. */
export type GivenClaim = z.output<typeof given>;

/** What a worker tells. */
export type WorkReport = z.output<typeof input>;
/** What it learns. */
export const workAnswer = z.object({ claims: z.array(given) });

/** The operation. Only nodes of the fleet may call it, as the admin of their machine. */
export const jobWork = (node: Services): Operation =>
  read({
    name: "job_work",
    title: "Report the work of a node",
    isTool: false,
    search: "worker of a node",
    description: "What the worker of a node tells the leader about jobs. Nodes call it; agents have job_claim.",
    input,
    example: { boot: "b-1", free: 0, actions: [], attempts: [] },
    output: workAnswer,
    access: { verb: "read", spaces: ["fleet"] },
    atLeader: true,
    maxInputBytes: 32 * 1024 * 1024,
    hints: { idempotent: true },
    async run(reader, { boot, free, actions, attempts }, context) {
      refuseBelowLevel(reader, JOB_LEVEL, "job_work");
      const member = callingMember(node, context.caller, "An agent claims jobs with job_claim.");
      for (const { id, n, seq, progress } of attempts)
        await node.get(CLAIMS).renew({ name: id, n, seq }, progress, context.signal).catch(ignoreLost);
      await keep(attempts, reader, context);
      const known = new Set(attempts.map(({ id, n, seq }) => `${id}@${n}-${seq}`));
      const claims: GivenClaim[] = [];
      for (const job of activeJobs(reader)) {
        // A node that was on no tailnet when it was given the job had no id then.
        if (job.boot !== boot || (job.worker !== member && job.worker !== "")) continue;
        const { id, claim_n: n, claim_seq: seq, action, space, attempt, timeout_ms, ttl_ms, keep_ms, cancel } = job;
        const isKnown = known.has(claimText(job) ?? "");
        // Its time begins with the call that gives it: that was sent before.
        if (!isKnown) await node.get(CLAIMS).renew({ name: id, n, seq }, undefined, context.signal).catch(ignoreLost);
        const row = isKnown ? undefined : jobOf(reader, id);
        claims.push({
          ...{ id, n, seq, action, space, attempt, timeout_ms, ttl_ms, keep_ms, cancel: cancel === 1 },
          ...(row === undefined ? {} : { input: parseObject(row.input) ?? {}, checkpoint: row.checkpoint }),
        });
      }
      // What it is given now takes places that it does not know of yet.
      const left = Math.max(0, free - claims.filter(({ input: given }) => given !== undefined).length);
      node.get(OFFERS).put({ node: member, boot, free: left, actions: new Set(actions), atMs: performance.now() });
      return { claims };
    },
  });

/** Puts into the log what is new of attempts. */
async function keep(attempts: WorkReport["attempts"], reader: Reader, { writes }: CallContext): Promise<void> {
  let notes: Note[] = [];
  let length = 0;
  const send = async () => {
    if (notes.length > 0) await writes.propose(jobNote, { notes });
    notes = [];
    length = 0;
  };
  for (const { id, n, seq, running, checkpoint = null, ending = null } of attempts) {
    const job = jobOf(reader, id);
    if (job === undefined || job.claim_n !== n || job.claim_seq !== seq) continue;
    const isNew = (running && job.state === "claimed") || ending !== null;
    const isKept = checkpoint !== null && checkpoint !== job.checkpoint;
    if (!isNew && !isKept) continue;
    notes.push({ id, n, seq, running, checkpoint, ending });
    length += (checkpoint?.length ?? 0) + (ending === null ? 0 : ending.output.length + ending.result.length);
    if (notes.length >= MAX_AT_ONCE || length > MAX_NOTED) await send();
  }
  await send();
}

/** A claim that is over is no error here: the answer has no such claim, and its node stops it. */
function ignoreLost(error: unknown): void {
  if (!(error instanceof Fault) || error.code !== "lease_lost") throw error;
}
