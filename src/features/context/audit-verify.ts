// audit_verify: recomputes the hash chain of the changes and compares every kept version, every context, the rows of
// other features and the heads that were noted outside the store with it. Finds edits, cut tails and rewrites.

import { z } from "zod";
import { ALL_SPACES } from "../../access/space.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { LatestChanges } from "../../log/latest-changes.ts";
import { verifyChain } from "../../log/verify.ts";
import { type CallContext, read } from "../../operation/define.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { type ReportedHead, verifyHeads } from "./verify-heads.ts";
import { verifyContexts, verifySuccessors, verifyVersions } from "./verify-versions.ts";

/** Heads that were noted outside the store: by other members and this node had them too, and by this node. */
export const REPORTED_HEADS: ServiceKey<() => readonly ReportedHead[]> = new ServiceKey("heads outside the store");

/** Checks of rows of other features. */
export const ROW_CHECKS: ServiceKey<readonly RowsCheck[]> = new ServiceKey("checks of rows against their changes");

async function rowProblem(
  reader: Reader,
  checks: readonly RowsCheck[],
  latest: LatestChanges,
  context: CallContext,
): Promise<string | undefined> {
  for (const check of checks) {
    latest.catchUp(reader);
    const problem = await check(reader, latest, context);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Makes the operation over the parts of a node, which may hold heads that other members reported. */
export const auditVerify = (node: Services) =>
  read({
    name: "audit_verify",
    title: "Verify the audit",
    search: "check the history for tampering or damage",
    description:
      "Recomputes the hash chain over all kept changes and compares every kept version, the newest state of each context, members, agents, leases and messages with it. If ok is false, problem is the first mismatch: the store was changed from outside, or the disk is failing.",
    input: z.object({}),
    output: z.object({
      ok: z.boolean(),
      checked: z.number().int().describe("Changes whose hash was recomputed."),
      versions: z.number().int().describe("Versions whose text was hashed again."),
      heads: z
        .number()
        .int()
        .describe(
          "Heads that other members reported, or this node noted outside its store, that were compared with this history.",
        ),
      head: z.object({ position: z.string(), hash: z.string() }),
      problem: z.string().optional(),
    }),
    access: { verb: "operate", spaces: [ALL_SPACES] },
    async run(reader, _input, context) {
      const head = context.head();
      const latest = new LatestChanges();
      const chain = await verifyChain(reader, head, context.signal, (row) => {
        context.spend(SHOW_ROW);
        latest.add(row);
      });
      const versions = chain.problem === undefined ? await verifyVersions(reader, latest, context) : { versions: 0 };
      const against = verifyHeads(reader, node.find(REPORTED_HEADS)?.() ?? [], head);
      const problem =
        chain.problem ??
        against.problem ??
        versions.problem ??
        (await verifyContexts(reader, context)) ??
        (await verifySuccessors(reader, context)) ??
        (await rowProblem(reader, node.find(ROW_CHECKS) ?? [], latest, context));
      return {
        ok: problem === undefined,
        checked: chain.checked,
        versions: versions.versions,
        heads: against.heads,
        head: { position: context.positionAt(head.seq), hash: Buffer.from(head.hash).toString("hex") },
        ...(problem === undefined ? {} : { problem }),
      };
    },
  });
