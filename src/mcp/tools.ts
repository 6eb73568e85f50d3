// Operations as MCP tools: which of them a caller is offered, and one call of one of them. Parsing, rights and limits are invoke's.

import { type CallToolResult, ProtocolError, ProtocolErrorCode, type Tool } from "@modelcontextprotocol/server";
import { LRUCache } from "lru-cache";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { OPERATION_META, type OperationMeta } from "../lib/mcp-names.ts";
import type { Operation } from "../operation/define.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { Entry } from "../operation/registry.ts";
import { toolError } from "./errors.ts";

/** Different sets of rights whose tool lists are kept. */
const MAX_LISTS = 256;

export class Tools {
  readonly #invoker: Invoker;
  readonly #byName: ReadonlyMap<string, Tool>;
  readonly #lists = new LRUCache<string, Tool[]>({ max: MAX_LISTS });
  readonly #running = new Set<Promise<unknown>>();
  readonly #waiting: ReadonlySet<string>;
  /** Waits under way, with the id of their caller. */
  readonly #holds = new Map<AbortController, string>();

  constructor(invoker: Invoker) {
    this.#invoker = invoker;
    const entries = invoker.registry.list().filter((entry) => entry.operation.access.verb !== "admin");
    this.#byName = new Map(entries.map((entry) => [entry.operation.name, toolOf(entry)]));
    this.#waiting = new Set(entries.filter(({ operation }) => waits(operation)).map(({ operation }) => operation.name));
  }

  /** The tools of a caller, sorted by name: one prebuilt list for each set of rights. */
  list(caller: Caller): Tool[] {
    const rights = this.#invoker.rights(caller);
    const known = this.#lists.get(rights.fingerprint);
    if (known !== undefined) return known;
    const list = [...this.#byName.values()].filter((tool) => {
      const operation = this.#invoker.registry.get(tool.name)?.operation;
      return operation !== undefined && isOffered(operation, rights);
    });
    this.#lists.set(rights.fingerprint, list);
    return list;
  }

  /** Reports whether a call of this tool may wait for something to happen. */
  waits(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** Whether a call of this tool ends by itself at once: reads and writes that do not wait. An act may take as long as what it does. */
  isBrief(name: string): boolean {
    const kind = this.#invoker.registry.get(name)?.operation.kind;
    return (kind === "read" || kind === "write") && !this.waits(name);
  }

  /** Whether a name is a tool that this caller may try; what it may do with it is judged by the call. */
  isCallable(caller: Caller, name: string): boolean {
    const operation = this.#byName.has(name) ? this.#invoker.registry.get(name)?.operation : undefined;
    if (operation === undefined) return false;
    return operation.access.verb !== "operate" || isOffered(operation, this.#invoker.rights(caller));
  }

  /** Runs an operation. A Fault is a result that says so; only a name that is no tool of this caller is a protocol error. */
  async call(caller: Caller, name: string, input: unknown, signal: AbortSignal): Promise<CallToolResult> {
    if (!this.isCallable(caller, name)) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${name}`);
    }
    const outcome = await this.run(caller, name, input, signal);
    if (outcome instanceof Fault) return toolError(outcome);
    return { structuredContent: outcome, content: [{ type: "text", text: JSON.stringify(outcome) }] };
  }

  /** What a call of a tool comes to: its structured content, or the Fault. */
  async run(
    caller: Caller,
    name: string,
    input: unknown,
    signal: AbortSignal,
  ): Promise<Record<string, unknown> | Fault> {
    const ending = this.waits(name) ? this.#held(caller) : undefined;
    const either = ending === undefined ? signal : AbortSignal.any([signal, ending.signal]);
    const running = this.#invoker.invoke({ operation: name, input, caller, signal: either, surface: "mcp" });
    this.#running.add(running);
    try {
      const { output, position, cache } = await running;
      const age = cache?.ageSeconds === undefined ? {} : { age_seconds: Math.ceil(cache.ageSeconds) };
      const kept = cache && { cache: { state: cache.state, ...age } };
      // Where an output names a position itself, that one is what to go on from.
      return { position, ...kept, ...output };
    } catch (error) {
      const ended: unknown = ending?.signal.aborted === true ? ending.signal.reason : undefined;
      if (ended instanceof Fault) return ended;
      if (error instanceof Fault) return error;
      throw error;
    } finally {
      this.#running.delete(running);
      if (ending !== undefined) this.#holds.delete(ending);
    }
  }

  /** Ends the waits of these callers, or all, with a reason that is answered. */
  endWaits(reason: Fault, callerIds?: ReadonlySet<string>): void {
    for (const [ending, callerId] of this.#holds) {
      if (callerIds === undefined || callerIds.has(callerId)) ending.abort(reason);
    }
  }

  #held(caller: Caller): AbortController {
    const ending = new AbortController();
    this.#holds.set(ending, caller.id);
    return ending;
  }

  /** Resolves when the calls that run now have ended, or after `withinMs`. */
  async settled(withinMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, withinMs);
    await Promise.race([Promise.allSettled(this.#running), late.promise]);
    clearTimeout(timer);
  }
}

/** Reads and writes are offered where a grant allows them anywhere, acts on the fleet only where a grant names them in full. */
function isOffered({ name, access: { verb } }: Operation, rights: Rights): boolean {
  const question = { verb, operation: name };
  return verb === "operate" ? rights.namesOperation(question) : rights.mayUseSomewhere(question);
}

function toolOf({ operation, inputSchema, outputSchema }: Entry): Tool {
  const { hints } = operation;
  const reads = operation.kind === "read" || (operation.kind === "act" && operation.access.verb === "read");
  return {
    name: operation.name,
    title: operation.title,
    description: operation.description,
    inputSchema: { ...inputSchema, type: "object" },
    outputSchema: withPosition(outputSchema, operation.kind === "read" && operation.kept === true),
    annotations: {
      title: operation.title,
      readOnlyHint: reads,
      destructiveHint: !reads && hints?.destructive === true,
      idempotentHint: reads || hints?.idempotent === true,
      openWorldHint: false,
    },
    ...metaOf(operation),
  };
}

/** The `_meta` of a tool, where there is something to say. */
function metaOf(operation: Operation): { _meta?: Record<string, unknown> } {
  const meta: OperationMeta = {
    ...(waits(operation) && { waits: true }),
    ...(operation.kind === "write" && { keyed: true }),
  };
  return Object.keys(meta).length === 0 ? {} : { _meta: { [OPERATION_META]: meta } };
}

function waits(operation: Operation): boolean {
  return operation.kind === "read" && operation.waits === true;
}

const POSITION = {
  type: "string",
  description: "Position of this answer; give it as min_position to a later read that must be at least as new.",
};

const CACHE = {
  type: "object",
  description:
    "Only on an edge: how its cache answered, and how old the answer may be. stale: nobody could be asked whether it is still so.",
  properties: {
    state: { enum: ["hit", "miss", "stale", "revalidated"] },
    age_seconds: { type: "integer" },
  },
};

/** Every answer names its position; in MCP, which has no headers, it stands beside the output, unless that names one itself. */
function withPosition(schema: Record<string, unknown>, kept: boolean): { type: "object"; [key: string]: unknown } {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return {
    ...schema,
    type: "object",
    properties: { position: POSITION, ...(kept && { cache: CACHE }), ...properties },
    required: [...new Set([...required, "position"])],
  };
}
