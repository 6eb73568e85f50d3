// One request for a page, as pages and sections see it. They are rendered apart and ask alike, so each call runs once.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { inNames, type Names } from "../lib/in-names.ts";
import { problemOf } from "../lib/problem.ts";
import type { Asked, FrameFacts, Visit } from "../operation/page.ts";
import type { Asker } from "./ask.ts";

/** What the frame shows where no feature knows more of the node. */
const UNKNOWN: FrameFacts = { name: "cairn", status: undefined, url: undefined, members: [] };

export interface VisitOptions {
  asker: Asker;
  url: URL;
  /** Parameters of the address that are the page's. */
  parameters: URLSearchParams;
  /** What the address says after the page's path, decoded. */
  rest: string;
  /** What operations are called on pages. */
  names: Names;
  nowMs: number;
  /** The part `frame` of the features. */
  frame: ((visit: Visit) => Promise<FrameFacts>) | undefined;
}

/** One question of a page, with what came of it. */
export interface Answered {
  operation: string;
  input: Record<string, unknown>;
  output?: Record<string, unknown>;
  /** A problem document. */
  error?: Record<string, unknown>;
}

interface Question {
  operation: string;
  input: Record<string, unknown>;
  answer: Promise<Record<string, unknown>>;
}

export class PageVisit implements Visit {
  readonly caller: Caller;
  readonly origin: string;
  readonly rest: string;
  readonly nowMs: number;
  readonly #asker: Asker;
  readonly #names: Names;
  readonly #parameters: URLSearchParams;
  readonly #frameOf: VisitOptions["frame"];
  /** What was asked, by operation and input. */
  readonly #asked = new Map<string, Question>();
  #frame: Promise<FrameFacts> | undefined;

  constructor({ asker, url, parameters, rest, names, nowMs, frame }: VisitOptions) {
    this.caller = asker.caller;
    this.origin = url.origin;
    this.rest = rest;
    this.nowMs = nowMs;
    this.#asker = asker;
    this.#names = names;
    this.#parameters = parameters;
    this.#frameOf = frame;
  }

  parameter(name: string): string {
    return this.#parameters.get(name) ?? "";
  }

  async ask<O extends z.ZodType>({ name, output }: Asked<O>, input: Record<string, unknown> = {}): Promise<z.infer<O>> {
    const key = `${name} ${JSON.stringify(input)}`;
    const asked = this.#asked.get(key) ?? { operation: name, input, answer: this.#asker.run(name, input) };
    this.#asked.set(key, asked);
    return output.parse(await asked.answer);
  }

  async tryAsk<O extends z.ZodType>(operation: Asked<O>, input?: Record<string, unknown>): Promise<z.infer<O> | Fault> {
    try {
      return await this.ask(operation, input);
    } catch (error) {
      if (error instanceof Fault && error.code !== "internal") return inNames(error, undefined, this.#names);
      throw error;
    }
  }

  may(operation: string, space: string): boolean {
    return this.#asker.may(operation, space);
  }

  /** Returns everything that was asked, in the order of the questions. Faults that the page shows are among them. */
  answers(): Promise<Answered[]> {
    return Promise.all(
      [...this.#asked.values()].map(async ({ answer, ...question }) => {
        try {
          return { ...question, output: await answer };
        } catch (error) {
          if (error instanceof Fault) return { ...question, error: problemOf(error) };
          throw error;
        }
      }),
    );
  }

  frame(): Promise<FrameFacts> {
    this.#frame ??= this.#frameOf?.(this) ?? Promise.resolve(UNKNOWN);
    return this.#frame;
  }
}
