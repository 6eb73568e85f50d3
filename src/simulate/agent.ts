// One agent: the SDK's MCP client at one target, in the newer or the older protocol revision. It calls tools and
// prompts as any agent does, and knows about the store only what they return.

import { Client, type Transport } from "@modelcontextprotocol/client";
import { isObject, parseObject } from "../lib/json-object.ts";
import { FAULT_META } from "../lib/mcp-names.ts";
import { pause } from "../lib/pause.ts";
import type { Latencies } from "./report.ts";

/** A node, or a bridge to a fleet, that agents connect to. */
export interface Target {
  /** Its address as people write it. */
  name: string;
  connect(): Transport;
}

/** Protocol revision: 2026-07-28, or the one before. */
export type Revision = "newer" | "older";

/** A check that failed. The message says what was expected and what was found. */
export class CheckFailedError extends Error {}

/** Why a tool refused a call. */
export interface Refusal {
  code: string;
  message: string;
  hint: string;
}

/** Temporary refusals are retried for this long, in ms. */
const RETRY_FOR_MS = 30_000;
const RETRY_MS = 250;
/** Time limit of a call, in ms: the fleet may change its leader in between. */
const CALL_MS = 60_000;
const TEMPORARY: ReadonlySet<string> = new Set(["unavailable", "rate_limited"]);

type Json = Record<string, unknown>;

/** What agents of a run share. */
export interface AgentOptions {
  latencies: Latencies;
  signal: AbortSignal;
}

/** A connected agent. */
export class Agent {
  readonly name: string;
  /** Name of its target. */
  readonly target: string;
  readonly revision: Revision;
  readonly #client: Client;
  readonly #latencies: Latencies;
  readonly #signal: AbortSignal;
  #keys = 0;
  /** The newest position that it has seen. */
  position = "";

  private constructor(name: string, target: string, revision: Revision, client: Client, options: AgentOptions) {
    this.name = name;
    this.target = target;
    this.revision = revision;
    this.#client = client;
    this.#latencies = options.latencies;
    this.#signal = options.signal;
  }

  /** Connects; rejects with the SDK's error when the target cannot be reached. */
  static async connect(name: string, target: Target, revision: Revision, options: AgentOptions): Promise<Agent> {
    const info = { name: `cairn-simulate-${name}`, version: "1" };
    const client = revision === "newer" ? new Client(info, { versionNegotiation: { mode: "auto" } }) : new Client(info);
    await client.connect(target.connect(), { timeout: RETRY_FOR_MS, signal: options.signal });
    return new Agent(name, target.name, revision, client, options);
  }

  /** Calls a tool and returns its output. Rejects with CheckFailedError when it refuses. */
  async call(tool: string, input: Json): Promise<Json> {
    const { output, refusal } = await this.attempt(tool, input);
    if (refusal === undefined) return output;
    throw new CheckFailedError(
      `${tool} ${JSON.stringify(input)} was refused: ${refusal.code}: ${refusal.message} ${refusal.hint}`,
    );
  }

  /** Calls a write with an idempotency key, so that retries of it are one write. */
  async write(tool: string, input: Json): Promise<{ output: Json; refusal: Refusal | undefined }> {
    const key = `${this.name}-${++this.#keys}-${crypto.randomUUID()}`;
    return this.attempt(tool, { ...input, idempotency_key: key });
  }

  /** Calls a tool and retries while it refuses temporarily. Returns its output, or the refusal that remained. */
  async attempt(tool: string, input: Json): Promise<{ output: Json; refusal: Refusal | undefined }> {
    const endMs = performance.now() + RETRY_FOR_MS;
    for (;;) {
      const startMs = performance.now();
      const { structuredContent, content, isError, _meta } = await this.#client.callTool(
        { name: tool, arguments: input },
        { signal: this.#signal, timeout: CALL_MS },
      );
      this.#latencies.add(performance.now() - startMs);
      if (isError !== true) {
        const output = structuredContent === undefined ? outputInText(content) : objectOf(structuredContent);
        const { position } = output;
        // Calls of one agent overlap, so an older answer may come later.
        if (typeof position === "string" && seqOf(position) > seqOf(this.position)) this.position = position;
        return { output, refusal: undefined };
      }
      const refusal = refusalOf(_meta?.[FAULT_META]);
      if (!TEMPORARY.has(refusal.code) || performance.now() > endMs) return { output: {}, refusal };
      await pause(RETRY_MS);
      this.#signal.throwIfAborted();
    }
  }

  /** Returns the text of a prompt. */
  async prompt(name: string, given: Record<string, string>): Promise<string> {
    const startMs = performance.now();
    const { messages } = await this.#client.getPrompt({ name, arguments: given }, { signal: this.#signal });
    this.#latencies.add(performance.now() - startMs);
    return messages.map(({ content }) => (content.type === "text" ? content.text : "")).join("\n");
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

/** A long answer is text alone. */
function outputInText(content: readonly { type: string; text?: unknown }[]): Json {
  return parseObject(String(content[0]?.text)) ?? {};
}

function refusalOf(fault: unknown): Refusal {
  const { code, message, hint } = objectOf(fault);
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return { code: text(code) || "unknown", message: text(message), hint: text(hint) };
}

/** Returns the number at the end of a position or a fence, 0 where there is none. */
export function seqOf(position: string): number {
  return Number(position.slice(position.lastIndexOf("-") + 1)) || 0;
}

/** Returns the object itself, or an empty one in place of any other value. */
export function objectOf(value: unknown): Json {
  return isObject(value) ? value : {};
}
