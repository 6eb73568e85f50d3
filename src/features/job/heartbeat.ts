// job_heartbeat: keeps the claim of a worker. It leaves nothing in the log but the beginning of the attempt and its
// checkpoints: only the leader remembers it (claims.ts).

import { z } from "zod";
import { type Operation, read } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { CLAIMS } from "./claims.ts";
import { jobNote } from "./internal.ts";
import { requireClaim } from "./queue.ts";
import { JOB_LEVEL, jobId, safeSeconds, spacesOfJob } from "./rows.ts";
import { claimOf, MAX_TEXT, ownFence, refuseOther } from "./work.ts";

const MAX_PROGRESS = 300;

/** Keeps a claim. */
export const jobHeartbeat = (node: Services): Operation =>
  read({
    name: "job_heartbeat",
    title: "Keep a job",
    search: "heartbeat, still working, progress, checkpoint, extend a claim",
    description:
      "Keeps a job that you claimed, says how far it is, and keeps a checkpoint for the next attempt. Refused with lease_lost: stop, the job is not yours any more. cancel true: stop, and send job_finish.",
    input: z.object({
      id: jobId,
      fence: ownFence,
      progress: z.string().max(MAX_PROGRESS).optional().describe("How far it is, for others. Kept in memory alone."),
      checkpoint: z
        .string()
        .max(MAX_TEXT)
        .optional()
        .describe("What another attempt needs to go on. It is in the log: not more often than needed."),
    }),
    example: { id: "team-a/1-57", fence: "team-a/1-57@1-60" },
    samples: { progress: "3 of 10 files", checkpoint: '{"file":3}' },
    output: z.object({
      id: z.string(),
      cancel: z.boolean().describe("Somebody cancelled it."),
      safe_seconds: z.number().int().describe("Count on it for so long from the moment you sent this call."),
    }),
    access: { verb: "write", spaces: spacesOfJob },
    atLeader: true,
    maxInputBytes: 6 * MAX_TEXT,
    hints: { idempotent: true },
    async run(reader, { id, fence, progress, checkpoint }, { author, agent, writes, signal }) {
      refuseBelowLevel(reader, JOB_LEVEL, "job_heartbeat");
      const claimed = claimOf(id, fence);
      refuseOther(requireClaim(reader, claimed), author, agent?.name ?? "");
      const job = await node.get(CLAIMS).renew(claimed, progress, signal);
      if (job.state === "claimed" || (checkpoint !== undefined && checkpoint !== job.checkpoint)) {
        const { n, seq } = claimed;
        const note = { id, n, seq, running: true, checkpoint: checkpoint ?? null, ending: null };
        await writes.propose(jobNote, { notes: [note] });
      }
      return { id, cancel: job.cancel === 1, safe_seconds: safeSeconds(job.ttl_ms) };
    },
  });
