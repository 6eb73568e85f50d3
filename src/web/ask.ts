// What the pages ask of the node: each question is one operation through invoke, so the caller's rights decide what is shown. The shapes are the parts of the answers that are shown.

import { z } from "zod";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Invoker } from "../operation/invoke.ts";

const whoami = z.object({
  caller: z.string(),
  kind: z.string(),
  node: z.string(),
  login: z.string(),
  tags: z.array(z.string()),
  grants: z.array(
    z.object({
      role: z.string(),
      spaces: z.array(z.string()),
      tools: z.array(z.string()).optional(),
      requests_per_minute: z.number().optional(),
    }),
  ),
  problems: z.array(z.string()),
});

const status = z.object({
  status: z.enum(["ok", "warning", "failing"]),
  version: z.string(),
  commit: z.string(),
  uptime_seconds: z.number(),
  position: z.string(),
  tailnet: z.object({
    engine: z.string(),
    state: z.string(),
    control: z.string(),
    name: z.string(),
    ips: z.array(z.string()),
    key_expiry: z.string().nullable(),
  }),
  urls: z.array(z.string()),
  conditions: z.array(
    z.object({
      code: z.string(),
      title: z.string(),
      severity: z.enum(["info", "warning", "error"]),
      text: z.string(),
      hint: z.string(),
      since: z.string(),
    }),
  ),
});

const metadata = z.object({
  id: z.string(),
  version: z.number(),
  etag: z.string(),
  content_type: z.string(),
  title: z.string(),
  tags: z.array(z.string()),
  size: z.number(),
  author: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
});

const version = z.object({
  version: z.number(),
  etag: z.string(),
  position: z.string(),
  content_type: z.string(),
  title: z.string(),
  size: z.number(),
  author: z.string(),
  via: z.string(),
  time: z.string(),
  deleted: z.boolean(),
  purged: z.boolean(),
});

/** The operations behind the pages, with what is read of their answers. */
const SHAPES = {
  whoami,
  node_status: status,
  context_list: z.object({ contexts: z.array(metadata), cursor: z.string().optional() }),
  context_get: metadata.extend({ content: z.unknown() }),
  context_metadata: metadata.extend({
    space: z.string(),
    floor: z.number(),
    versions: z.number(),
    deleted: z.boolean(),
  }),
  context_history: z.object({ floor: z.number(), versions: z.array(version), cursor: z.string().optional() }),
  context_diff: z.object({
    from: z.number(),
    to: z.number(),
    format: z.enum(["json-patch", "text"]),
    diff: z.unknown(),
  }),
  context_wait: z.object({ changes: z.array(z.object({ position: z.string() })), position: z.string() }),
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
