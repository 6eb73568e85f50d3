// One agent: the SDK's MCP client at one place, in the newer or the older revision. It calls tools and prompts as an agent does and knows nothing of the store but what it is told.

import { Client, type Transport } from "@modelcontextprotocol/client";
import type { Times } from "./tell.ts";

/** A node, or a way to a fleet, that agents connect to. */
export interface Place {
  /** For people: an address. */
  name: string;
  connect(): Transport;
}

export type Era = "newer" | "older";

/** Something that cannot be, were the store right. The message says what was expected and what was seen. */
export class Wrong extends Error {}

/** What a tool refused, in its words. */
export interface Refusal {
  code: string;
  message: string;
  hint: string;
}

const FAULT_META = "cairn.internal/fault";
/** Refusals that pass by themselves are tried again for so long, in ms. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 250;
/** A call may take so long, in ms: a fleet may change its leader meanwhile. */
const CALL_MS = 60_000;
const PASSING: ReadonlySet<string> = new Set(["unavailable", "rate_limited"]);

type Json = Record<string, unknown>;

export class Agent {
  readonly name: string;
  readonly place: string;
  readonly era: Era;
  readonly #client: Client;
  readonly #times: Times;
  readonly #signal: AbortSignal;
  #keys = 0;
  /** The newest position that it was told. */
  position = "";

  private constructor(name: string, place: string, era: Era, client: Client, times: Times, signal: AbortSignal) {
    this.name = name;
    this.place = place;
    this.era = era;
    this.#client = client;
    this.#times = times;
    this.#signal = signal;
  }

  /** Connects; rejects with what the SDK says when nobody is there. */
  static async connect(
    name: string,
    place: Place,
    era: Era,
    { times, signal }: { times: Times; signal: AbortSignal },
  ): Promise<Agent> {
    const info = { name: `cairn-simulate-${name}`, version: "1" };
    const client = era === "newer" ? new Client(info, { versionNegotiation: { mode: "auto" } }) : new Client(info);
    await client.connect(place.connect(), { timeout: PATIENCE_MS, signal });
    return new Agent(name, place.name, era, client, times, signal);
  }

  /** Calls a tool and answers its output. Rejects with Wrong when it refuses. */
  async call(tool: string, input: Json): Promise<Json> {
    const { output, refusal } = await this.try(tool, input);
    if (refusal === undefined) return output;
    throw new Wrong(
      `${tool} ${JSON.stringify(input)} was refused: ${refusal.code}: ${refusal.message} ${refusal.hint}`,
    );
  }

  /** Calls a write under a key of its own, so that trying again makes one write of it. */
  async write(tool: string, input: Json): Promise<{ output: Json; refusal: Refusal | undefined }> {
    const key = `${this.name}-${++this.#keys}-${crypto.randomUUID()}`;
    return this.try(tool, { ...input, idempotency_key: key });
  }

  /** Calls a tool; what passes by itself is tried again. */
  async try(tool: string, input: Json): Promise<{ output: Json; refusal: Refusal | undefined }> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const startMs = performance.now();
      const { structuredContent, isError, _meta } = await this.#client.callTool(
        { name: tool, arguments: input },
        { signal: this.#signal, timeout: CALL_MS },
      );
      this.#times.add(performance.now() - startMs);
      if (isError !== true) {
        const output = objectOf(structuredContent);
        if (typeof output["position"] === "string") this.position = output["position"];
        return { output, refusal: undefined };
      }
      const refusal = refusalOf(_meta?.[FAULT_META]);
      if (!PASSING.has(refusal.code) || performance.now() > endMs) return { output: {}, refusal };
      await Bun.sleep(AGAIN_MS);
      this.#signal.throwIfAborted();
    }
  }

  /** The text of a prompt. */
  async prompt(name: string, given: Record<string, string>): Promise<string> {
    const startMs = performance.now();
    const { messages } = await this.#client.getPrompt({ name, arguments: given }, { signal: this.#signal });
    this.#times.add(performance.now() - startMs);
    return messages.map(({ content }) => (content.type === "text" ? content.text : "")).join("\n");
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

function refusalOf(said: unknown): Refusal {
  const { code, message, hint } = objectOf(said);
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return { code: text(code) || "unknown", message: text(message), hint: text(hint) };
}

/** The object itself, or an empty one in place of what is none. */
export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
