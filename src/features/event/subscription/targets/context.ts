// Targets of kind `context`: events become documents, written as the owner of the subscription, with its rights.

import type { z } from "zod";
import { Fault } from "../../../../lib/fault.ts";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { OWN_SOURCE } from "../../own.ts";
import type { EventRecord } from "../../rules/index.ts";
import type { Outcome, Target } from "../delivery.ts";
import type { contextTarget } from "./declared.ts";
import { type AskAsOwner, onceKey } from "./parts.ts";
import { shownText } from "./post.ts";

type ContextConfig = z.infer<typeof contextTarget>;

/** Faults after which the same event may be taken later. */
const LATER: ReadonlySet<string> = new Set([
  ...["unavailable", "not_ready", "rate_limited", "storage_full", "cancelled", "internal", "not_leader", "forbidden"],
]);

/** Makes the target. */
export function makeContextTarget(config: ContextConfig, ask: AskAsOwner): Target {
  return {
    async send({ record, offset, messageId, trace }, signal) {
      // What it writes makes such an event again, without end.
      if (record.type === "cairn.context.changed" && record.source === OWN_SOURCE)
        return { result: "skipped", detail: "a change of a context is not written into one" };
      const traced: AskAsOwner = (operation, input, ends) => ask(operation, input, ends, trace);
      try {
        if (config.mode === "put") await put(config, { record, offset, messageId }, traced, signal);
        else await append(config, { record, messageId }, traced, signal);
        return { result: "delivered", detail: "" };
      } catch (error) {
        signal.throwIfAborted();
        return outcomeOf(error);
      }
    },
  };
}

function outcomeOf(error: unknown): Outcome {
  const isFinal = error instanceof Fault && !LATER.has(error.code);
  const detail = shownText(reasonOf(error));
  return { result: isFinal ? "refused" : "failed", detail };
}

async function put(
  { id }: ContextConfig,
  { record, offset, messageId }: { record: EventRecord; offset: number; messageId: string },
  ask: AskAsOwner,
  signal: AbortSignal,
): Promise<void> {
  const content = documentOf(record);
  const place = `${id}/${offset}`;
  const key = onceKey(messageId, place, JSON.stringify(content));
  await ask("context_put", { id: place, content, idempotency_key: key }, signal);
}

/** The document is made by its first event; a second attempt at either write is done once, by its key. */
async function append(
  { id }: ContextConfig,
  { record, messageId }: { record: EventRecord; messageId: string },
  ask: AskAsOwner,
  signal: AbortSignal,
): Promise<void> {
  const document = documentOf(record);
  const key = onceKey(messageId, id, JSON.stringify(document));
  const patch = [{ op: "add", path: "/-", value: document }];
  try {
    await ask("context_patch", { id, format: "json-patch", patch, idempotency_key: `${key}-a` }, signal);
  } catch (error) {
    if (!(error instanceof Fault) || (error.code !== "not_found" && error.code !== "deleted")) throw error;
    const input = { id, content: [document], if_none_match: "*", idempotency_key: `${key}-b` };
    await ask("context_put", input, signal);
  }
}

function documentOf(record: EventRecord): Record<string, unknown> {
  return { specversion: "1.0", ...record };
}
