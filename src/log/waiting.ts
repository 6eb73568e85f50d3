// Commands that wait for their outcome, as every engine keeps them: admitted with bounds, cut into entries, answered in order.

import { Fault } from "../lib/fault.ts";
import type { BatchResult } from "./apply-batch.ts";
import { MAX_COMMAND_BYTES, MAX_ENTRY_BYTES, MAX_ENTRY_COMMANDS, packCommand } from "./entry.ts";
import type { Applied, Command } from "./log.ts";

/** Above this many waiting commands, or bytes of them, new ones are refused: memory stays bounded whatever callers do. */
const MAX_WAITING = 8192;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** A command that waits to be put into an entry, packed already. */
export interface Waiting {
  packed: Uint8Array;
  /** What it counts for in an entry, in bytes. */
  weight: number;
  resolve: (applied: Applied) => void;
  reject: (fault: Fault) => void;
}

/** The commands of one engine that no entry holds yet, in order. */
export class WaitingCommands {
  #items: Waiting[] = [];
  #bytes = 0;

  get length(): number {
    return this.#items.length;
  }

  /** Packs a command and puts it behind the others; rejects what is too large or too much. */
  add(command: Command): Promise<Applied> {
    if (this.#items.length >= MAX_WAITING || this.#bytes >= MAX_WAITING_BYTES) {
      return Promise.reject(
        new Fault("unavailable", `${this.#items.length} writes of ${this.#bytes} bytes wait already`, {
          hint: "Try again in a moment.",
          details: { retryAfterSeconds: 1 },
        }),
      );
    }
    const packed = packCommand(command);
    if (packed.byteLength > MAX_COMMAND_BYTES) {
      return Promise.reject(
        new Fault("too_large", `The write has ${packed.byteLength} bytes; the limit is ${MAX_COMMAND_BYTES}`, {
          hint: "Send it in parts.",
        }),
      );
    }
    this.#bytes += packed.byteLength;
    return new Promise((resolve, reject) => {
      this.#items.push({ packed, weight: Math.max(packed.byteLength, command.weight ?? 0), resolve, reject });
    });
  }

  /** Takes what fits into one entry by weight, in order; one command always fits. */
  takeBatch(): Waiting[] {
    let weight = 0;
    let count = 0;
    for (const item of this.#items) {
      weight += item.weight;
      if (count > 0 && (weight > MAX_ENTRY_BYTES || count >= MAX_ENTRY_COMMANDS)) break;
      count += 1;
    }
    const batch = this.#items.splice(0, count);
    for (const { packed } of batch) this.#bytes -= packed.byteLength;
    return batch;
  }

  /** Rejects all that waits. */
  rejectAll(fault: () => Fault): void {
    this.#bytes = 0;
    for (const item of this.#items.splice(0)) item.reject(fault());
  }
}

/** Tells each command of a batch its outcome. */
export function answer(batch: readonly Waiting[], outcomes: BatchResult["outcomes"], epoch: string): void {
  for (const [index, item] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    if ("fault" in outcome) item.reject(outcome.fault);
    else item.resolve({ output: outcome.output, position: { epoch, seq: outcome.seq } });
  }
}

/** The refusal of a node that ends. */
export function stopping(): Fault {
  return new Fault("unavailable", "This node is stopping", { hint: "Try again on another node, or when it is back." });
}
