// Commands that wait for their outcome, in every engine: admitted within bounds, cut into batches, resolved in order.

import { Fault } from "../lib/fault.ts";
import type { BatchResult } from "./apply-batch.ts";
import { MAX_COMMAND_BYTES, MAX_ENTRY_BYTES, MAX_ENTRY_COMMANDS, packCommand } from "./entry.ts";
import type { Applied, Command } from "./log.ts";

/** Above this many waiting commands, or bytes of them, new ones are refused, so that memory stays bounded. */
const MAX_WAITING = 8192;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** A packed command that is not part of an entry yet. */
export interface WaitingCommand {
  packed: Uint8Array;
  /** Its weight in a batch, in bytes. */
  weight: number;
  resolve: (applied: Applied) => void;
  reject: (fault: Fault) => void;
}

/** The commands of one engine that are not part of an entry yet, in order. */
export class WaitingCommands {
  #items: WaitingCommand[] = [];
  #bytes = 0;

  get length(): number {
    return this.#items.length;
  }

  /** Packs a command and appends it. Rejects one that is too large, or any while too many wait. */
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

  /** Takes as many commands as fit into one entry by weight, in order; always at least one. */
  takeBatch(): WaitingCommand[] {
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

  /** Rejects all waiting commands. */
  rejectAll(fault: () => Fault): void {
    this.#bytes = 0;
    for (const item of this.#items.splice(0)) item.reject(fault());
  }
}

/** Resolves or rejects each command of a batch with its outcome. */
export function resolveBatch(batch: readonly WaitingCommand[], outcomes: BatchResult["outcomes"], epoch: string): void {
  for (const [index, item] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    if ("fault" in outcome) item.reject(outcome.fault);
    else item.resolve({ output: outcome.output, position: { epoch, seq: outcome.seq } });
  }
}

/** Returns the Fault of a node that is stopping. */
export function stopping(): Fault {
  return new Fault("unavailable", "This node is stopping", { hint: "Try again on another node, or when it is back." });
}
