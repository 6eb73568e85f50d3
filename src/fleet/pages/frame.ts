// What the frame of every page shows of the node and its fleet.

import { Fault } from "../../lib/fault.ts";
import type { FrameFacts, Visit } from "../../operation/page.ts";
import { NODE_STATUS } from "../node-status.ts";

/** Returns what the caller may know of it. */
export async function fleetFrame(visit: Visit): Promise<FrameFacts> {
  const status = await visit.tryAsk(NODE_STATUS);
  if (status instanceof Fault) return { name: "cairn", status: undefined, url: undefined, members: [] };
  return {
    name: status.tailnet.name || "cairn",
    status: status.status,
    url: status.urls[0],
    members: status.members,
  };
}
