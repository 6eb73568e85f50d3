// What the pages ask of the node: each question is one operation through invoke, so the caller's rights decide what is shown.

import { z } from "zod";
import type { Caller } from "../access/caller.ts";
import {
  contextDiff,
  contextGet,
  contextHistory,
  contextList,
  contextMetadata,
  contextWait,
  metadata,
} from "../features/context/index.ts";
import { nodeReport } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import type { Invoker } from "../operation/invoke.ts";
import { whoami } from "../operation/whoami.ts";

/** The operations behind the pages, with the shapes of their answers as they define them. */
const SHAPES = {
  whoami: whoami.output,
  node_status: nodeReport,
  // Pages never ask for some fields only, so they get all of them.
  context_list: contextList.output.extend({ contexts: z.array(metadata) }),
  context_get: contextGet.output,
  context_metadata: contextMetadata.output,
  context_history: contextHistory.output,
  context_diff: contextDiff.output,
  context_wait: contextWait.output,
} as const;

type Name = keyof typeof SHAPES;
/** What the pages know of an operation's answer. */
export type Shown<N extends Name> = z.infer<(typeof SHAPES)[N]>;

/** Asks as one caller, for one request. */
export class Asker {
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly #invoker: Invoker;

  constructor(invoker: Invoker, caller: Caller, signal: AbortSignal) {
    this.#invoker = invoker;
    this.caller = caller;
    this.signal = signal;
  }

  /** The same caller, under another signal. */
  until(signal: AbortSignal): Asker {
    return new Asker(this.#invoker, this.caller, signal);
  }

  /** The answer of an operation; throws its Fault. */
  async ask<N extends Name>(operation: N, input: Record<string, unknown> = {}): Promise<Shown<N>> {
    const { caller, signal } = this;
    const { output } = await this.#invoker.invoke({ operation, input, caller, signal, surface: "web" });
    return SHAPES[operation].parse(output) as Shown<N>;
  }

  /** The same, with a Fault of the listed kinds as a value: what a page can show in place of the answer. */
  async tryAsk<N extends Name>(operation: N, input: Record<string, unknown> = {}): Promise<Shown<N> | Fault> {
    try {
      return await this.ask(operation, input);
    } catch (error) {
      if (error instanceof Fault && error.code !== "internal") return error;
      throw error;
    }
  }
}
