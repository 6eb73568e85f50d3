// Commands that wait for their outcome, in every engine: admitted within bounds, cut into batches, resolved in order.

import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import type { BatchResult } from "./apply-batch.ts";
import { MAX_COMMAND_BYTES, MAX_ENTRY_BYTES, MAX_ENTRY_COMMANDS, packCommand } from "./entry.ts";
import type { Applied, Command } from "./log.ts";
import type { Position } from "./position.ts";

/** Above this many waiting commands, or bytes of them, new ones are refused, so that memory stays bounded. */
const MAX_WAITING = 8192;
/** Most bytes of commands that wait. */
export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/**
 * From this weight on a command is costly to apply: it gets an entry of its own, after the others that wait, so that
 * one caller's costly writes do not hold up the writes of all.
 */
const COSTLY_WEIGHT = MAX_ENTRY_BYTES / 2;
/** Above this many waiting costly commands new ones are refused: each may take a good part of a second. */
const MAX_WAITING_COSTLY = 64;

/** A packed command that is not part of an entry yet. */
export interface WaitingCommand {
  packed: Uint8Array;
  /** Its weight in a batch, in bytes. */
  weight: number;
  resolve: (applied: Applied) => void;
  reject: (fault: Fault) => void;
}

/** The commands of an entry. */
export interface Batch {
  items: WaitingCommand[];
  /** Whether it is one that is costly to apply. */
  isCostly: boolean;
}

/** The commands of one engine that are not part of an entry yet, in order. */
export class WaitingCommands {
  #items: WaitingCommand[] = [];
  #costly: WaitingCommand[] = [];
  #bytes = 0;
  #lastWasCostly = false;

  get length(): number {
    return this.#items.length + this.#costly.length;
  }

  /** Packs a command and appends it. Rejects one that is too large, or any while too many wait. */
  add(command: Command): Promise<Applied> {
    const isCostly = (command.weight ?? 0) >= COSTLY_WEIGHT;
    if (this.length >= MAX_WAITING || this.#bytes >= MAX_WAITING_BYTES)
      return Promise.reject(busy(`${counted(this.length, "write")} of ${this.#bytes} bytes wait already`));
    if (isCostly && this.#costly.length >= MAX_WAITING_COSTLY)
      return Promise.reject(
        busy(`${counted(this.#costly.length, "write that is", "writes that are")} costly to apply wait already`),
      );
    let packed: Uint8Array;
    try {
      packed = packCommand(command);
    } catch (error) {
      return Promise.reject(error);
    }
    if (packed.byteLength > MAX_COMMAND_BYTES) {
      return Promise.reject(
        new Fault("too_large", `The write has ${packed.byteLength} bytes; the limit is ${MAX_COMMAND_BYTES}`, {
          hint: "Send it in parts.",
        }),
      );
    }
    this.#bytes += packed.byteLength;
    const weight = Math.max(packed.byteLength, command.weight ?? 0);
    return new Promise((resolve, reject) => {
      (isCostly ? this.#costly : this.#items).push({ packed, weight, resolve, reject });
    });
  }

  /**
   * Takes as many commands as fit into one entry by weight, in order, or a single costly one: by turns, where both
   * wait. Undefined where nothing waits, or only costly ones that `mayBeCostly` excludes.
   */
  takeBatch(mayBeCostly = true): Batch | undefined {
    const isCostly = mayBeCostly && this.#costly.length > 0 && (this.#items.length === 0 || !this.#lastWasCostly);
    const items = isCostly ? this.#costly.splice(0, 1) : this.#items.splice(0, this.#fitting());
    if (items.length === 0) return undefined;
    this.#lastWasCostly = isCostly;
    for (const { packed } of items) this.#bytes -= packed.byteLength;
    return { items, isCostly };
  }

  /** Returns how many commands fit into one entry; at least one, where any waits. */
  #fitting(): number {
    let weight = 0;
    let count = 0;
    for (const item of this.#items) {
      weight += item.weight;
      if (count > 0 && (weight > MAX_ENTRY_BYTES || count >= MAX_ENTRY_COMMANDS)) break;
      count += 1;
    }
    return count;
  }

  /** Rejects all waiting commands. */
  rejectAll(fault: () => Fault): void {
    this.#bytes = 0;
    for (const item of [...this.#items.splice(0), ...this.#costly.splice(0)]) item.reject(fault());
  }
}

/**
 * Resolves or rejects each command of a batch with its outcome. `positionAt` names the epoch of a seq: a repeated
 * command has the outcome of its first time, which may be of an earlier one.
 */
export function resolveBatch(
  batch: readonly WaitingCommand[],
  outcomes: BatchResult["outcomes"],
  positionAt: (seq: number) => Position,
): void {
  for (const [index, item] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    if ("fault" in outcome) item.reject(outcome.fault);
    else item.resolve({ output: outcome.output, position: positionAt(outcome.seq) });
  }
}

function busy(why: string): Fault {
  return new Fault("unavailable", why, {
    hint: "Try again in a moment.",
    details: { retryAfterSeconds: 1 },
  });
}

/** Returns the Fault of a node that is stopping. */
export function stopping(): Fault {
  return new Fault("unavailable", "This node is stopping", { hint: "Try again on another node, or when it is back." });
}
