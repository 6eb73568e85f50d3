// events.forward_to: the leader declares a target and a subscription for each address of its settings, as the admin of
// its machine. What is there already stays, paused or not; admins change and end it like any other.

import type { Caller } from "../../../access/caller.ts";
import { pause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { sha256Hex } from "../../../lib/sha256.ts";
import type { Lead } from "../../../log/duties.ts";
import { levelOf } from "../../../log/level.ts";
import { logFor } from "../../../observe/logging.ts";
import { CALL_AS, NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { SUBSCRIPTION_LEVEL, subscriptionRow, targetRow } from "./rows.ts";
import { subscriptionCreate } from "./subscription-operations.ts";
import { eventTargetSet } from "./target-operations.ts";

const SPACE = "default";
const AGAIN_MS = 5000;
const LOCAL: Caller = { kind: "local", id: "local", node: "", login: "", tags: [], own: false, grants: [] };

/** Returns the name of the target of an address. */
export function forwardName(url: string): string {
  return `forward-${sha256Hex(url).slice(0, 10)}`;
}

/** Declares what is missing, until all is there or the node leads no more. Never rejects. */
export async function declareForwards(node: Services, { signal }: Pick<Lead, "signal">): Promise<void> {
  const left = new Set(node.get(NODE).settings["events.forward_to"]);
  while (left.size > 0 && !signal.aborted) {
    for (const url of left) {
      try {
        await declareForward(node, url, signal);
        left.delete(url);
      } catch (error) {
        if (signal.aborted) return;
        logFor("events")("warning", `events are not forwarded to ${url} yet: ${reasonOf(error)}`);
      }
    }
    if (left.size > 0) await pause(AGAIN_MS, signal).catch(() => {});
  }
}

async function declareForward(node: Services, url: string, signal: AbortSignal): Promise<void> {
  const { store, settings } = node.get(NODE);
  const name = forwardName(url);
  const id = `${SPACE}/${name}`;
  const ask = (operation: string, input: Record<string, unknown>) =>
    node.get(CALL_AS)({ operation, input, caller: LOCAL, signal, exact: true });
  const isThere = levelOf(store.reader) >= SUBSCRIPTION_LEVEL;
  if (!isThere || targetRow(store.reader, name) === undefined) {
    const target = { kind: "http", url, format: "tas", timeout_seconds: settings["events.forward_timeout"] };
    await ask(eventTargetSet.name, { name, target, spaces: [SPACE] });
  }
  if (subscriptionRow(store.reader, id) === undefined) await ask(subscriptionCreate.name, { id, target: name });
}
