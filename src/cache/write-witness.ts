// Checks on an edge that a second full member has the position that the answer to a forwarded write names, so that one
// member alone cannot report a write that the fleet does not have (security.md 8).

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { formatPosition, type Position, parsePosition } from "../log/position.ts";
import type { EdgeLog } from "./edge-log.ts";
import type { FeedClient, FeedClientOptions } from "./feed-client.ts";
import { feedAnswer, MAX_HOLD_MS } from "./feed-frames.ts";

export interface WriteWitnessOptions {
  log: EdgeLog;
  client: Pick<FeedClient, "upstream" | "isDisconnected" | "sawElsewhere">;
  ask: FeedClientOptions["ask"];
  nodes: FeedClientOptions["nodes"];
  roundTripMs: FeedClientOptions["roundTripMs"];
  /** How long a second member may take to have the position, in ms. */
  withinMs?: number;
}

/**
 * - `seen`: another full member has the position.
 * - `alone`: no other full member can be asked, so that none can contradict.
 * - `unseen`: others were asked, and none had the position in time.
 */
export type Witnessed = "seen" | "alone" | "unseen";

const WITHIN_MS = 5_000;
/** Between two members that are asked, in ms. */
const STEP_MS = 50;
/** How long an answer may take beyond the time for which the call is held, in ms. */
const GRACE_MS = 1_000;

/** Looks for second members that have a write. */
export class WriteWitness {
  readonly #options: WriteWitnessOptions;

  constructor(options: WriteWitnessOptions) {
    this.#options = options;
  }

  /**
   * Looks for the position of a write that `by` reported. This edge's own feed is proof if it comes from another
   * member; while the edge follows `by` itself, other members are asked, the nearest first.
   */
  async find(text: string, by: string, signal: AbortSignal): Promise<Witnessed> {
    const { log, client, withinMs = WITHIN_MS } = this.#options;
    const position = parsePosition(text);
    const late = AbortSignal.timeout(withinMs);
    const silent = new Set<string>();
    for (;;) {
      if (client.sawElsewhere(position, by)) return "seen";
      if (late.aborted) return "unseen";
      signal.throwIfAborted();
      const others = this.#others(by).filter((node) => !silent.has(node));
      const [nearest] = others;
      if (nearest === undefined) return "alone";
      if (!client.isDisconnected() && client.upstream()?.node !== by) {
        await log.changes.cursor().wait(signal, AbortSignal.any([late, AbortSignal.timeout(MAX_HOLD_MS)]));
        continue;
      }
      const found = await this.#ask(nearest, position, AbortSignal.any([signal, late]));
      if (found === "yes") return "seen";
      if (found === "silent") silent.add(nearest);
      else await pause(STEP_MS, signal);
    }
  }

  /** Returns the other full members that answer beats, the nearest first. */
  #others(by: string): string[] {
    const { nodes, roundTripMs } = this.#options;
    const near = nodes().flatMap((node) => {
      const ms = node === by ? undefined : roundTripMs(node);
      return ms === undefined ? [] : [{ node, ms }];
    });
    return near.sort((one, other) => one.ms - other.ms).map(({ node }) => node);
  }

  /**
   * Asks one member for its feed after the position: it responds once it has applied that, or refuses after a second.
   */
  async #ask(node: string, position: Position, signal: AbortSignal): Promise<"yes" | "no" | "silent"> {
    const { ask, log } = this.#options;
    const request = {
      since: formatPosition(position),
      holdMs: MAX_HOLD_MS,
      epoch: log.position().epoch,
      spaces: [],
      terms: "",
    };
    try {
      const timeoutMs = MAX_HOLD_MS + GRACE_MS;
      const answer = feedAnswer.parse(await ask(node, request, { timeoutMs, signal }));
      return parsePosition(answer.position).seq >= position.seq ? "yes" : "no";
    } catch (error) {
      return error instanceof Fault && error.facts.fromPeer !== true ? "silent" : "no";
    }
  }
}

/** Returns the fault of a write that no second member has. */
export function unseenWrite(operation: string, by: string): Fault {
  return new Fault("unavailable", `${by} reports ${operation} as done, but no other full node has it`, {
    hint: "Read before you write again, or repeat it with the same idempotency key; see `cairn status`.",
    facts: { outcome: "unknown" },
    details: { retryAfterSeconds: 2 },
  });
}
