// What full members ask of each other about services: the end of the output of a start.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { fenceArgument } from "../../operation/fence.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { PeerHandler } from "../../peer/server.ts";
import type { Tail } from "./live.ts";
import type { ServiceWorker } from "./worker.ts";

/** Time for an answer that is known already, in ms. */
const ASK_MS = 5000;

const asked = z.object({ start: fenceArgument });
const answered = z.object({ text: z.string().max(256 * 1024), bytes: z.number() });

/** Returns the peer paths of a full member. */
export function servicePeerPaths(worker: ServiceWorker): Readonly<Record<string, PeerHandler<typeof asked>>> {
  return {
    service_tail: {
      schema: asked,
      async handle({ member, input: { start } }) {
        if (member === undefined || member.role === "edge")
          throw new Fault("forbidden", "Only full members ask this about services");
        const tail = worker.tail(start);
        if (tail !== undefined) return tail;
        throw new Fault("not_found", `This node has no start ${start}`, { hint: "Ask service_get how it is." });
      },
    },
  };
}

/** Asks a member for the end of an output. */
export async function askOutput(members: FullMembers, node: string, start: string, signal: AbortSignal): Promise<Tail> {
  return answered.parse(await members.ask(node, "service_tail", { start }, { signal, timeoutMs: ASK_MS }));
}
