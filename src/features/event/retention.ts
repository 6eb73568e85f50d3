// Retention of events, by the leader: looks at age, count and bytes, and proposes the floor that satisfies all of them.

import { setImmediate as nextTurn } from "node:timers/promises";
import { pause } from "../../lib/pause.ts";
import type { Lead } from "../../log/duties.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { WriteLimits } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { logPlaces } from "./moves/place.ts";
import { eventHead, type SegmentRow } from "./rows.ts";
import { eventTrim, MAX_TRIMMED, oldestSegment } from "./trim.ts";

/** How often the leader looks, in ms. */
const LOOK_MS = 10_000;

/** What `Retention` works with. */
export interface RetentionOptions {
  reader: Reader;
  log: () => Pick<Log, "propose" | "timeMs">;
  limits: () => WriteLimits;
  /** Called with what a proposal failed with; the next look tries again. */
  onError: (error: unknown) => void;
}

/** Removes old events while its node leads. */
export class Retention {
  readonly #options: RetentionOptions;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** The duty: looks again and again until the signal aborts. */
  lead({ signal }: Lead): void {
    void this.#lookUntil(signal);
  }

  /** Removes everything that is beyond the limits now, in commands of bounded work. */
  async look(signal: AbortSignal): Promise<void> {
    const { reader, log, limits } = this.#options;
    while (!signal.aborted) {
      const { current, moving } = logPlaces(reader);
      // A stream has limits of its own, and a move copies all that is there.
      if (moving !== undefined || current?.kind === "jetstream") return;
      const floor = floorFor(reader, limits().events, log().timeMs());
      if (floor === undefined) return;
      const { output } = await log().propose(nodeCommand(eventTrim, { floor }));
      if (output["removed"] === 0) return;
      await nextTurn();
    }
  }

  async #lookUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.look(signal);
      } catch (error) {
        if (!signal.aborted) this.#options.onError(error);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
  }
}

/** Returns the offset up to which the next command is to remove events; undefined: none. */
export function floorFor(reader: Reader, limits: WriteLimits["events"], timeMs: number): number | undefined {
  const { keepMs, keepCount, keepBytes } = limits;
  const head = eventHead(reader);
  if (head.tail === head.floor) return undefined;
  let { bytes } = head;
  let floor: number | undefined;
  const within = reader.all<SegmentRow>(
    "SELECT * FROM event_segments WHERE last > ? AND last <= ? ORDER BY last",
    ...[head.floor, head.floor + MAX_TRIMMED],
  );
  for (const segment of within.length > 0 ? within : [oldestSegment(reader, head.floor) ?? []].flat()) {
    const isOld = keepMs > 0 && segment.log_time <= timeMs - keepMs;
    const isMany = keepCount > 0 && head.tail - segment.last >= keepCount;
    const isLarge = keepBytes > 0 && bytes > keepBytes;
    if (!isOld && !isMany && !isLarge) break;
    floor = segment.last;
    bytes -= segment.bytes;
  }
  return floor;
}
