// Operations as MCP tools: the list of a caller, and calls. Parsing, rights and limits are those of `invoke`.

import { type CallToolResult, ProtocolError, ProtocolErrorCode, type Tool } from "@modelcontextprotocol/server";
import { LRUCache } from "lru-cache";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { LOAD_META, OPERATION_META, type OperationMeta, SEARCH_META, SIZE_META } from "../lib/mcp-names.ts";
import { nearest } from "../lib/nearest.ts";
import { isKeyed, type Operation } from "../operation/define.ts";
import type { Invoker } from "../operation/invoke.ts";
import { COMMON_NAMES, type Entry } from "../operation/registry.ts";
import { type Asking, callOf } from "./ask.ts";
import { MAX_RESULT_CHARS, MAX_TWICE_BYTES } from "./bounds.ts";
import { toolError } from "./errors.ts";
import { argumentsOf } from "./lenient-request.ts";
import { hasCoreTools } from "./preset.ts";
import { toolInput } from "./tool-schema.ts";

/** How many tool lists are kept: one for each set of rights. */
const MAX_LISTS = 256;

/** The tools of a node. */
export class Tools {
  readonly #invoker: Invoker;
  readonly #byName: ReadonlyMap<string, Tool>;
  readonly #lists = new LRUCache<string, Tool[]>({ max: MAX_LISTS });
  readonly #running = new Set<Promise<unknown>>();
  readonly #waiting: ReadonlySet<string>;
  /** Running waits, with the id of their caller. */
  readonly #holds = new Map<AbortController, string>();

  constructor(invoker: Invoker) {
    this.#invoker = invoker;
    const entries = invoker.registry.list().filter((entry) => entry.operation.access.verb !== "admin");
    this.#byName = new Map(entries.map((entry) => [entry.operation.name, toolOf(entry)]));
    this.#waiting = new Set(entries.filter(({ operation }) => waits(operation)).map(({ operation }) => operation.name));
  }

  /** Returns the tools of a caller, sorted by name: one list for each set of rights and preset. */
  list(caller: Caller): Tool[] {
    const rights = this.#invoker.rights(caller);
    const isCore = hasCoreTools(caller);
    const key = `${isCore ? "core" : "all"} ${rights.fingerprint}`;
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = [...this.#byName.values()].filter((tool) => {
      const operation = this.#invoker.registry.get(tool.name)?.operation;
      return operation !== undefined && isOffered(operation, rights) && (!isCore || operation.core !== undefined);
    });
    this.#lists.set(key, list);
    return list;
  }

  /**
   * Returns the largest message of this caller in bytes, by what the header `Mcp-Name` names. Without one, which older
   * revisions do not have, it is small for a caller that may write no document.
   */
  maxMessageBytes(caller: Caller, named: string | null): number {
    const { registry } = this.#invoker;
    if (named !== null) return registry.maxInputBytes(named);
    return Math.max(...this.list(caller).map(({ name }) => registry.maxInputBytes(name)), registry.maxInputBytes(""));
  }

  /** Reports whether a call of this tool may wait for something to happen. */
  waits(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** Reports whether a call of this tool ends soon: a read or write that does not wait. An act may take long. */
  isBrief(name: string): boolean {
    const kind = this.#invoker.registry.get(name)?.operation.kind;
    return (kind === "read" || kind === "write") && !this.waits(name);
  }

  /** Reports whether a name is a tool that this caller may try; the call judges what it may do with it. */
  isCallable(caller: Caller, name: string): boolean {
    const operation = this.#byName.has(name) ? this.#invoker.registry.get(name)?.operation : undefined;
    if (operation === undefined || (hasCoreTools(caller) && operation.core === undefined)) return false;
    return operation.access.verb !== "operate" || isOffered(operation, this.#invoker.rights(caller));
  }

  /** Calls a tool. A Fault becomes a result; rejects with ProtocolError only if the name is no tool of this caller. */
  async call(asking: Asking, name: string, input: Record<string, unknown>): Promise<CallToolResult> {
    const { caller } = asking;
    if (!this.isCallable(caller, name)) {
      const near = nearest(
        name,
        this.list(caller).map((tool) => tool.name),
      );
      const hint = near === undefined ? "tools/list has those that you may use." : `Did you mean ${near}?`;
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${name.slice(0, 80)}. ${hint}`);
    }
    const outcome = await this.run(asking, name, input);
    if (outcome instanceof Fault) return toolError(outcome);
    const text = JSON.stringify(outcome);
    const content = [{ type: "text" as const, text }];
    return this.isSentOnce(name, text) ? { content } : { structuredContent: outcome, content };
  }

  /**
   * Reports whether an answer is sent as text only: every client passes that on, while of two forms some show the one
   * and some the other. Only reads can be that long, so they declare no schema of their output.
   */
  isSentOnce(name: string, text: string): boolean {
    const operation = this.#invoker.registry.get(name)?.operation;
    return operation !== undefined && isLong(operation) && Buffer.byteLength(text) > MAX_TWICE_BYTES;
  }

  /** Calls a tool and returns its structured content or the Fault. */
  async run(asking: Asking, name: string, input: Record<string, unknown>): Promise<Record<string, unknown> | Fault> {
    const { caller, signal } = asking;
    const ending = this.waits(name) ? this.#held(caller) : undefined;
    const either = ending === undefined ? signal : AbortSignal.any([signal, ending.signal]);
    const running = this.#invoker.invoke(callOf({ ...asking, signal: either }, name, argumentsOf(input)));
    this.#running.add(running);
    try {
      const { output, position, cache } = await running;
      const age = cache?.ageSeconds === undefined ? {} : { age_seconds: Math.ceil(cache.ageSeconds) };
      const kept = cache && { cache: { state: cache.state, ...age } };
      // The position in an output itself wins: it is what the caller resumes from.
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

  /** Ends the waits of these callers, or all; `reason` becomes their result. */
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

  /** Resolves when the calls that run now have ended, at the latest after `withinMs`. */
  async settled(withinMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, withinMs);
    await Promise.race([Promise.allSettled(this.#running), late.promise]);
    clearTimeout(timer);
  }
}

/** Reports whether a tool is listed: a grant allows it anywhere, or for the verb `operate` names it in full. */
function isOffered({ name, access: { verb } }: Operation, rights: Rights): boolean {
  const question = { verb, operation: name };
  return verb === "operate" ? rights.namesOperation(question) : rights.mayUseSomewhere(question);
}

function toolOf({ operation, inputSchema, outputSchema }: Entry): Tool {
  const { hints } = operation;
  const reads =
    (operation.kind === "read" && operation.atLeader !== true) ||
    (operation.kind === "act" && operation.access.verb === "read");
  return {
    name: operation.name,
    title: operation.title,
    description: operation.description,
    inputSchema: toolInput(inputSchema, COMMON_NAMES),
    ...(isLong(operation) ? {} : { outputSchema: withPosition(outputSchema) }),
    annotations: {
      title: operation.title,
      readOnlyHint: reads,
      destructiveHint: !reads && hints?.destructive === true,
      idempotentHint: reads || hints?.idempotent === true,
      openWorldHint: false,
    },
    _meta: metaOf(operation),
  };
}

/** Returns the `_meta` of a tool: the arguments that its schema does not list, and how clients find it. */
function metaOf(operation: Operation): Record<string, unknown> {
  const meta: OperationMeta = {
    positioned: true,
    ...(waits(operation) && { waits: true }),
    ...(isKeyed(operation) && { keyed: true }),
  };
  return {
    [OPERATION_META]: meta,
    ...(operation.search !== undefined && { [SEARCH_META]: operation.search }),
    ...(operation.core === "always" && { [LOAD_META]: true }),
    ...(operation.kind === "read" && operation.whole !== undefined && { [SIZE_META]: MAX_RESULT_CHARS }),
  };
}

/** Reports whether an answer may be long: that of a read of the store. */
function isLong(operation: Operation): boolean {
  return operation.kind === "read" && operation.local !== true;
}

function waits(operation: Operation): boolean {
  return operation.kind === "read" && operation.waits === true;
}

const POSITION = {
  type: "string",
  description: "Position of this answer; give it as min_position to a later read that must be at least as new.",
};

/** Adds the position of the answer, which MCP has no headers for; an output with a position of its own keeps that. */
function withPosition(schema: Record<string, unknown>): { type: "object"; [key: string]: unknown } {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return {
    ...schema,
    type: "object",
    properties: { position: POSITION, ...properties },
    required: [...new Set([...required, "position"])],
  };
}
