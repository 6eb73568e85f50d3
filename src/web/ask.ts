// Operations asked for a page, as the caller of its request: the caller's rights decide what is shown.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { Asked } from "../operation/page.ts";

/** Runs operations for one request. */
export class Asker {
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly #invoker: Invoker;

  constructor(invoker: Invoker, caller: Caller, signal: AbortSignal) {
    this.#invoker = invoker;
    this.caller = caller;
    this.signal = signal;
  }

  /** Returns an asker for the same caller under another signal. */
  until(signal: AbortSignal): Asker {
    return new Asker(this.#invoker, this.caller, signal);
  }

  /** Reports whether this node has an operation and the caller's grants allow it in a space; `invoke` judges again. */
  may(operation: string, space: string): boolean {
    const verb = this.#invoker.registry.get(operation)?.operation.access.verb;
    return verb !== undefined && this.#invoker.rights(this.caller).mayUse({ verb, operation, space });
  }

  /** Reports whether this node has an operation and the caller's grants allow it in some space. */
  maySomewhere(operation: string): boolean {
    const verb = this.#invoker.registry.get(operation)?.operation.access.verb;
    return verb !== undefined && this.#invoker.rights(this.caller).mayUseSomewhere({ verb, operation });
  }

  /** Runs an operation and returns its output. Rejects with its Fault. */
  async ask<O extends z.ZodType>({ name, output }: Asked<O>, input: Record<string, unknown>): Promise<z.infer<O>> {
    return output.parse(await this.run(name, input));
  }

  /** Runs an operation and returns its output as it came. Rejects with its Fault. */
  async run(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
    const { caller, signal } = this;
    const { output } = await this.#invoker.invoke({ operation, input, caller, signal, surface: "web" });
    return output;
  }
}
