// Kept messages of a stream, a step at a time, by the direct gets of JetStream. The client's own batches have no
// deadline once the first message came, and leave their subscription behind.

import { createInbox, type NatsConnection } from "@nats-io/nats-core";
import { type EventRow, STEP_BYTES } from "../rows.ts";
import { rowOf } from "./message.ts";
import { CALL_MS, type NatsLink } from "./nats.ts";
import { prefixOf, type StreamPlace } from "./stream.ts";

/** Bytes of one step. */
const MAX_BYTES = 4 * STEP_BYTES;
/** Of the status line that ends a step. */
const END = 204;
const NOTHING = 404;

/** An event, and the change of the replicated log before which it was ordered. */
export interface KeptEvent {
  row: EventRow;
  seq: number;
}

/** What is asked for. */
export interface Asked {
  /** The first offset. */
  from: number;
  max: number;
  /** Events of this subject alone. */
  subject?: string;
  /** How long the next message may take, in ms. */
  quietMs?: number;
}

/** Some of the messages. */
export interface Step {
  found: KeptEvent[];
  /** There are no more behind them. */
  isAll: boolean;
}

/** Returns the next messages from an offset on: as many as are asked for, or a few megabytes. */
export function readStep(
  link: Pick<NatsLink, "call">,
  place: StreamPlace,
  { from, max, subject, quietMs = CALL_MS }: Asked,
): Promise<Step> {
  const query = {
    seq: from,
    batch: max,
    max_bytes: MAX_BYTES,
    next_by_subj: subject ?? `${prefixOf(place.stream)}.*`,
  };
  return link.call(({ connection }) => ask(connection, `$JS.API.DIRECT.GET.${place.stream}`, query, quietMs));
}

async function ask(connection: NatsConnection, address: string, query: object, quietMs: number): Promise<Step> {
  const done = Promise.withResolvers<Step>();
  const found: KeptEvent[] = [];
  let pending = 0;
  const late = () => done.reject(new Error(`the stream sent nothing for ${quietMs} ms`));
  let timer = setTimeout(late, quietMs);
  const inbox = createInbox();
  const asked = connection.subscribe(inbox, {
    callback: (error, message) => {
      if (error !== null) return done.reject(error);
      clearTimeout(timer);
      timer = setTimeout(late, quietMs);
      const { headers, data } = message;
      const code = headers?.code ?? 0;
      if (code === END || code === NOTHING) return done.resolve({ found, isAll: pending === 0 });
      if (code !== 0) return done.reject(new Error(`the stream answered ${code} ${headers?.description ?? ""}`));
      const timeMs = Date.parse(headers?.last("Nats-Time-Stamp") ?? "");
      pending = Number(headers?.last("Nats-Num-Pending"));
      found.push(rowOf({ seq: Number(headers?.last("Nats-Sequence")), data, timeMs }));
    },
  });
  try {
    connection.publish(address, JSON.stringify(query), { reply: inbox });
    return await done.promise;
  } finally {
    clearTimeout(timer);
    asked.unsubscribe();
  }
}
