// One request for a page, as pages and sections see it. They are rendered apart and ask alike, so each call runs once.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Asked, FrameFacts, Visit } from "../operation/page.ts";
import type { Asker } from "./ask.ts";

/** What the frame shows where no feature knows more of the node. */
const UNKNOWN: FrameFacts = { name: "cairn", status: undefined, url: undefined, members: [] };

export interface VisitOptions {
  asker: Asker;
  url: URL;
  /** What the address says after the page's path, decoded. */
  rest: string;
  nowMs: number;
  /** The part `frame` of the features. */
  frame: ((visit: Visit) => Promise<FrameFacts>) | undefined;
}

export class PageVisit implements Visit {
  readonly caller: Caller;
  readonly origin: string;
  readonly rest: string;
  readonly nowMs: number;
  readonly #asker: Asker;
  readonly #parameters: URLSearchParams;
  readonly #frameOf: VisitOptions["frame"];
  /** Outputs by operation and input. */
  readonly #asked = new Map<string, Promise<Record<string, unknown>>>();
  #frame: Promise<FrameFacts> | undefined;

  constructor({ asker, url, rest, nowMs, frame }: VisitOptions) {
    this.caller = asker.caller;
    this.origin = url.origin;
    this.rest = rest;
    this.nowMs = nowMs;
    this.#asker = asker;
    this.#parameters = url.searchParams;
    this.#frameOf = frame;
  }

  parameter(name: string): string {
    return this.#parameters.get(name) ?? "";
  }

  async ask<O extends z.ZodType>({ name, output }: Asked<O>, input: Record<string, unknown> = {}): Promise<z.infer<O>> {
    const key = `${name} ${JSON.stringify(input)}`;
    const asked = this.#asked.get(key) ?? this.#asker.run(name, input);
    this.#asked.set(key, asked);
    return output.parse(await asked);
  }

  async tryAsk<O extends z.ZodType>(operation: Asked<O>, input?: Record<string, unknown>): Promise<z.infer<O> | Fault> {
    try {
      return await this.ask(operation, input);
    } catch (error) {
      if (error instanceof Fault && error.code !== "internal") return error;
      throw error;
    }
  }

  frame(): Promise<FrameFacts> {
    this.#frame ??= this.#frameOf?.(this) ?? Promise.resolve(UNKNOWN);
    return this.#frame;
  }
}
