// The content of a fleet's stores once writes have stopped: read from outside, beside the running nodes, so that a
// fleet can continue after it was checked.

import { join } from "node:path";
import { DIGEST_TABLES } from "../../src/features/index.ts";
import { digestOf } from "../../src/log/digest.ts";
import { inspectStore } from "../../src/store/inspect.ts";
import { eventually } from "../kit/eventually.ts";
import type { Fleet, FleetNode } from "../kit/fleet.ts";
import { endOf, epochsOf } from "./ends.ts";
import type { End, Epoch } from "./history.ts";

/**
 * How long idle full members may differ: a refusal with a key leaves no change, and reaches each node at its own time.
 */
const EQUAL_MS = 10_000;

export interface FleetEnd {
  ends: End[];
  epochs: Epoch[];
}

/** Waits until all full members that are up are at one position, then until they are equal or the time is over. */
export async function endOfFleet(fleet: Fleet): Promise<FleetEnd> {
  await fleet.settle();
  let seen = fleet.up().map(look);
  const areEqual = () => {
    seen = fleet.up().map(look);
    return new Set(seen.map(({ end }) => `${end.seq} ${end.hash} ${end.digest}`)).size === 1;
  };
  await eventually("all full nodes to be equal", areEqual, { withinMs: EQUAL_MS }).catch(() => {});
  return { ends: seen.map(({ end }) => end), epochs: seen[0]?.epochs ?? [] };
}

function look(node: FleetNode): { end: End; epochs: Epoch[] } {
  const inspected = inspectStore(join(node.dataDir, "store"), (reader) => {
    const digest = digestOf(reader, DIGEST_TABLES);
    return { end: endOf(reader, node.name, digest), epochs: epochsOf(reader) };
  });
  if (inspected === undefined) throw new Error(`${node.name} has no store in ${node.dataDir}`);
  return inspected.seen;
}
