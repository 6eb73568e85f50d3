// What full members ask of each other about jobs: the end of the output of one that runs.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { fenceArgument } from "../../operation/fence.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { PeerHandler } from "../../peer/server.ts";
import type { Tail } from "./live.ts";
import type { Worker } from "./worker.ts";

/** Time for an answer that is known already, in ms. */
const ASK_MS = 5000;

const asked = z.object({ fence: fenceArgument });
const answered = z.object({ text: z.string().max(256 * 1024), bytes: z.number() });

/** Returns the peer paths of a full member. */
export function jobPeerPaths(worker: Worker): Readonly<Record<string, PeerHandler<typeof asked>>> {
  return {
    job_tail: {
      schema: asked,
      async handle({ member, input: { fence } }) {
        if (member === undefined || member.role === "edge")
          throw new Fault("forbidden", "Only full members ask this about jobs");
        const tail = worker.tail(fence);
        if (tail !== undefined) return tail;
        throw new Fault("not_found", `This node has no attempt ${fence}`, { hint: "Ask job_get how the job is." });
      },
    },
  };
}

/** Asks a member for the end of an output. */
export async function askTail(members: FullMembers, node: string, fence: string, signal: AbortSignal): Promise<Tail> {
  return answered.parse(await members.ask(node, "job_tail", { fence }, { signal, timeoutMs: ASK_MS }));
}
