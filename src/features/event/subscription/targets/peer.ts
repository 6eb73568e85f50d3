// Targets of kind `peer`: another fleet of Cairn, over the tailnet. An event names the fleets that passed it on, so
// that no circle of fleets sends it round for ever.

import type { z } from "zod";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { traceHeaders } from "../../event-trace.ts";
import { HOPS, hopsOf } from "../../hops.ts";
import type { EventRecord } from "../../rules/index.ts";
import type { Target } from "../delivery.ts";
import { shapeOf } from "../shapes.ts";
import { DEFAULT_TIMEOUT_SECONDS, type peerTarget } from "./declared.ts";
import { onceKey, type TargetParts } from "./parts.ts";
import { post, shownText } from "./post.ts";

/** Most fleets that pass an event on. */
export const MAX_HOPS = 8;
/** What a fleet answers to an event that it has passed on itself (RFC 5842 7.2). */
const LOOP_DETECTED = 508;

/** Makes the target. */
export function makePeerTarget(config: z.infer<typeof peerTarget>, { tailnet, fleetId, nowMs }: TargetParts): Target {
  const { host, timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  return {
    async send({ record, messageId, trace }, signal) {
      const hops = hopsOf(record[HOPS]);
      if (hops.includes(fleetId())) return { result: "skipped", detail: "this fleet has passed the event on before" };
      if (config.fleet !== undefined && hops.includes(config.fleet))
        return { result: "skipped", detail: "it came from there" };
      if (hops.length >= MAX_HOPS) return { result: "skipped", detail: `${MAX_HOPS} fleets have passed the event on` };
      const { headers, body } = shapeOf(passedOn(record, [...hops, fleetId()]), "cloudevents");
      const space = config.space ?? String(record["cairnspace"] ?? "");
      const url = new URL(`http://${host}/events?space=${encodeURIComponent(space)}`);
      const sent = {
        ...headers,
        ...traceHeaders(trace, record),
        "idempotency-key": onceKey(fleetId(), messageId, space, String(body)),
      };
      try {
        const request = { url, headers: sent, body, deadlineMs: 1000 * seconds };
        const outcome = await post(tailnet, request, signal, nowMs());
        return outcome.status === LOOP_DETECTED ? { ...outcome, result: "skipped" } : outcome;
      } catch (error) {
        signal.throwIfAborted();
        return { result: "failed", detail: shownText(reasonOf(error)) };
      }
    },
  };
}

/** What this fleet added about the event is not the other one's: it adds its own. */
function passedOn(record: EventRecord, hops: readonly string[]): EventRecord {
  const kept = Object.entries(record).filter(([name]) => !name.startsWith("cairn"));
  return { ...(Object.fromEntries(kept) as EventRecord), [HOPS]: hops.join(",") };
}
