// Puts events of several calls into one command: while a command of a sender is under way, what comes meanwhile is
// collected and goes with the next one. So a lone event waits for nothing, and a flood of small calls is few commands.

import { Fault } from "../../lib/fault.ts";
import type { MacroSteps } from "../../operation/define.ts";
import { type FailedEvent, MAX_APPENDED } from "./append.ts";
import type { AppendSteps, EventLog } from "./event-log.ts";
import type { EventItem } from "./item.ts";

/** Most bytes of one command, unless a single event is larger. */
const MAX_BATCH_BYTES = 256 * 1024;
/** What an event counts for in a command beside its data: its other fields and their names. */
const ITEM_BYTES = 256;

/** Where an event is. */
export interface Placed {
  epoch: string;
  offset: number;
  duplicate: boolean;
  /** Which promise it has. */
  durability: string | undefined;
}

interface Waiting {
  item: EventItem;
  bytes: number;
  ask: MacroSteps["ask"];
  placed: PromiseWithResolvers<Placed>;
}

/** The events of one sender and space that wait, and whether a command is under way. */
interface Lane {
  space: string;
  waiting: Waiting[];
  isBusy: boolean;
  /** Adds the trace of the call, where a key stands for its events. */
  traced?: AppendSteps["traced"];
}

/** The batches of one node. */
export class Batches {
  readonly #log: () => Pick<EventLog, "append">;
  readonly #lanes = new Map<string, Lane>();

  constructor(log: () => Pick<EventLog, "append">) {
    this.#log = log;
  }

  /**
   * Appends events of a call, and returns what becomes of each. A promise rejects with the Fault of its command.
   * `traced` adds the trace of the call to an event that has none.
   */
  append(
    steps: MacroSteps,
    space: string,
    items: readonly EventItem[],
    traced: (item: EventItem) => EventItem = (item) => item,
  ): Promise<Placed>[] {
    if (steps.key !== undefined) return this.#alone(steps, { space, traced }, items);
    const key = JSON.stringify([steps.who, space]);
    const lane = this.#lanes.get(key) ?? { space, waiting: [], isBusy: false };
    this.#lanes.set(key, lane);
    const added = items.map((item) => waiting(traced(item), steps.ask));
    lane.waiting.push(...added);
    if (!lane.isBusy) void this.#run(key, lane);
    return added.map(({ placed }) => placed.promise);
  }

  /**
   * A call with a key makes its own commands, the same ones when it is repeated, which may be in another trace:
   * `event_append` adds that, and a log for which no key stands gets it here.
   */
  #alone({ ask }: MacroSteps, of: Pick<Lane, "space" | "traced">, items: readonly EventItem[]): Promise<Placed>[] {
    const lane: Lane = { ...of, waiting: items.map((item) => waiting(item, ask)), isBusy: true };
    const all = lane.waiting.map(({ placed }) => placed.promise);
    void this.#empty(lane);
    return all;
  }

  async #run(key: string, lane: Lane): Promise<void> {
    lane.isBusy = true;
    await this.#empty(lane, () => this.#lanes.delete(key));
  }

  /** `onEmpty` is called at once when nothing waits: what came after that, and before it, no one would send. */
  async #empty(lane: Lane, onEmpty = () => {}): Promise<void> {
    while (lane.waiting.length > 0) await send(this.#log(), lane, lane.waiting.splice(0, fitting(lane.waiting)));
    onEmpty();
  }
}

function waiting(item: EventItem, ask: MacroSteps["ask"]): Waiting {
  const placed = Promise.withResolvers<Placed>();
  // Each is awaited by its call; that may have gone away.
  placed.promise.catch(() => {});
  return { item, bytes: ITEM_BYTES + Buffer.byteLength(item.data), ask, placed };
}

/** Returns how many events fit into one command; at least one. */
function fitting(items: readonly Waiting[]): number {
  let bytes = 0;
  let count = 0;
  for (const item of items) {
    bytes += item.bytes;
    if (count > 0 && (bytes > MAX_BATCH_BYTES || count === MAX_APPENDED)) break;
    count += 1;
  }
  return count;
}

/** It is done in the name of the first call, but does not end with that call: it has events of others. */
async function send(
  log: Pick<EventLog, "append">,
  { space, traced }: Pick<Lane, "space" | "traced">,
  batch: readonly Waiting[],
): Promise<void> {
  try {
    const events = batch.map(({ item }) => item);
    const ask = batch[0]?.ask;
    if (ask === undefined) return;
    const done = await log.append({ ask, traced }, space, events);
    const duplicates = new Set(done.duplicates);
    const looped = new Set(done.looped);
    for (const { at, code, message, unknown } of done.failed ?? [])
      batch[at]?.placed.reject(notKept(code, message, unknown));
    for (const [index, { item, placed }] of batch.entries()) {
      if (looped.has(index)) placed.reject(loopDetected(item));
      else
        placed.resolve({
          ...{ epoch: done.epoch, offset: done.offsets[index] ?? 0, duplicate: duplicates.has(index) },
          durability: done.durability,
        });
    }
  } catch (error) {
    for (const { placed } of batch) placed.reject(error);
  }
}

function notKept(code: FailedEvent["code"], message: string, unknown: boolean): Fault {
  const hint = unknown ? "It may have been kept. Send it again with the same id and source." : "Send it again later.";
  const outcome = unknown ? "unknown" : "not_done";
  return code === "too_large" ? new Fault(code, message) : new Fault(code, message, { hint, facts: { outcome } });
}

function loopDetected({ id }: EventItem): Fault {
  return new Fault("loop_detected", `This fleet has passed the event ${JSON.stringify(id)} on before`, {
    hint: "It came back by other fleets, and is here already. Send it without cairnhops if it is another event.",
    details: { field: "cairnhops" },
  });
}
