// Operations as MCP tools: the list of a caller, and calls. Parsing, rights and limits are those of `invoke`.

import { type CallToolResult, ProtocolError, ProtocolErrorCode, type Tool } from "@modelcontextprotocol/server";
import { LRUCache } from "lru-cache";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import { Fault } from "../lib/fault.ts";
import { inNames } from "../lib/in-names.ts";
import { isObject } from "../lib/json-object.ts";
import {
  LOAD_META,
  OPERATION_META,
  type OperationMeta,
  POSITION_META,
  SEARCH_META,
  SIZE_META,
} from "../lib/mcp-names.ts";
import { nearest } from "../lib/nearest.ts";
import { type AlikeResults, isKeyed, type Operation, onlyReads } from "../operation/define.ts";
import type { Invoker } from "../operation/invoke.ts";
import { COMMON_NAMES, type Entry, type Registry } from "../operation/registry.ts";
import { type Asking, callOf } from "./ask.ts";
import { MAX_RESULT_CHARS, MAX_TWICE_BYTES } from "./bounds.ts";
import { toolError } from "./errors.ts";
import { argumentsOf } from "./lenient-request.ts";
import { givenByUrl } from "./preset.ts";
import { toolInput } from "./tool-schema.ts";

/** How many tool lists are kept: one for each set of rights. */
const MAX_LISTS = 256;

/** A tool, and the operation that it calls. */
export interface Offered {
  tool: Tool;
  operation: Operation;
}

/** Returns the tools of a preset, sorted by name; `isHere` reports whether an operation is one. */
export function toolsIn(registry: Registry, isHere: (operation: Operation) => boolean): Offered[] {
  return registry
    .list()
    .filter(({ operation }) => operation.access.verb !== "admin" && operation.isTool !== false)
    .filter(({ operation }) => isHere(operation))
    .map((entry) => ({ tool: toolOf(entry), operation: entry.operation }))
    .sort((a, b) => (a.tool.name < b.tool.name ? -1 : 1));
}

/** Returns those tools that a caller with these rights is offered. */
export function listedFor(offered: readonly Offered[], rights: Rights): Tool[] {
  return offered.filter(({ operation }) => isOffered(operation, rights)).map(({ tool }) => tool);
}

/** The tools of one preset. Their names are those that clients call them by. */
export class Tools {
  readonly #invoker: Invoker;
  readonly #byName: ReadonlyMap<string, Offered>;
  /** By the name of the operation. */
  readonly #nameOf: ReadonlyMap<string, string>;
  readonly #instead: Readonly<Record<string, string>>;
  readonly #lists = new LRUCache<string, Tool[]>({ max: MAX_LISTS });
  readonly #running = new Set<Promise<unknown>>();
  /** Running waits, with the id of their caller. */
  readonly #holds = new Map<AbortController, string>();

  /** `isHere` reports whether an operation is a tool of the preset. Throws an Error where two have one name. */
  constructor(
    invoker: Invoker,
    isHere: (operation: Operation) => boolean = () => true,
    instead: Readonly<Record<string, string>> = {},
  ) {
    this.#invoker = invoker;
    this.#instead = instead;
    const offered = toolsIn(invoker.registry, isHere);
    this.#byName = new Map(offered.map((one) => [one.tool.name, one]));
    this.#nameOf = new Map(offered.map(({ tool, operation }) => [operation.name, tool.name]));
    if (this.#byName.size < offered.length) throw new Error("two tools of one preset have the same name");
  }

  /** Returns the tools of a caller, sorted by name: one list for each set of rights. */
  list(caller: Caller): Tool[] {
    const rights = this.#invoker.rights(caller);
    const known = this.#lists.get(rights.fingerprint);
    if (known !== undefined) return known;
    const list = listedFor([...this.#byName.values()], rights);
    this.#lists.set(rights.fingerprint, list);
    return list;
  }

  /** Reports whether an operation is a tool of the preset. */
  has(operation: string): boolean {
    return this.#nameOf.has(operation);
  }

  /** Returns the names of the operations that are tools of a caller. */
  operations(caller: Caller): ReadonlySet<string> {
    return new Set(this.list(caller).map(({ name }) => this.#byName.get(name)?.operation.name ?? name));
  }

  /**
   * Returns the largest message of this caller in bytes, by what the header `Mcp-Name` names. Without one, which older
   * revisions do not have, it is small for a caller that may write no document.
   */
  maxMessageBytes(caller: Caller, named: string | null): number {
    const { registry } = this.#invoker;
    const bytesOf = (name: string) => registry.maxInputBytes(this.#operation(name)?.name ?? "");
    if (named !== null) return bytesOf(named);
    return Math.max(...this.list(caller).map(({ name }) => bytesOf(name)), bytesOf(""));
  }

  /** Reports whether a call of this tool may wait for something to happen. */
  waits(name: string): boolean {
    const operation = this.#operation(name);
    return operation !== undefined && waits(operation);
  }

  /**
   * Reports whether a call of this tool ends soon, with a result like that of most: a read or write that does not wait.
   * An act may take long.
   */
  isBrief(name: string): boolean {
    const { kind, alike } = this.#operation(name) ?? {};
    return (kind === "read" || kind === "write") && alike === undefined && !this.waits(name);
  }

  /** Reports whether a name is a tool that this caller may try; the call judges what it may do with it. */
  isCallable(caller: Caller, name: string): boolean {
    const operation = this.#operation(name);
    if (operation === undefined) return false;
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
    const alike = this.#operation(name)?.alike;
    if (alike !== undefined) return alikeResult(alike, outcome);
    if (outcome instanceof Fault) return toolError(outcome);
    const text = JSON.stringify(outcome);
    const content = [{ type: "text" as const, text }];
    return this.isSentOnce(name, text) ? { content } : { structuredContent: outcome, content };
  }

  /**
   * Reports whether an answer is sent as text only: every client passes that on, while of two forms some show the one
   * and some the other. What can be that long declares no schema of its output.
   */
  isSentOnce(name: string, text: string): boolean {
    const operation = this.#operation(name);
    const declaresNone = operation !== undefined && !declaresOutput(operation);
    return declaresNone && Buffer.byteLength(text) > MAX_TWICE_BYTES;
  }

  /** Calls a tool and returns its structured content or the Fault. */
  async run(asking: Asking, name: string, input: Record<string, unknown>): Promise<Record<string, unknown> | Fault> {
    const { caller, signal } = asking;
    const ending = this.waits(name) ? this.#held(caller) : undefined;
    const either = ending === undefined ? signal : AbortSignal.any([signal, ending.signal]);
    const operation = this.#operation(name);
    const own = argumentsOf(input);
    const all = isObject(own) && operation !== undefined ? { ...givenFor(operation, caller), ...own } : own;
    const call = callOf({ ...asking, signal: either }, operation?.name ?? name, all);
    const running = this.#invoker.invoke(this.#invoker.isTraced ? { ...call, tool: name } : call);
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
      if (!(error instanceof Fault)) throw error;
      const fault = inNames(error, name, {
        nameOf: (named) => this.#nameOf.get(named) ?? this.#instead[named],
        isOperation: (named) => this.#invoker.registry.get(named) !== undefined,
      });
      return operation?.refused?.(fault) ?? fault;
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

  #operation(name: string): Operation | undefined {
    return this.#byName.get(name)?.operation;
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

/** Returns the arguments that the URL of the connection gives to an operation. */
function givenFor({ input }: Operation, caller: Caller): Record<string, string> {
  return Object.fromEntries(Object.entries(givenByUrl(caller)).filter(([name]) => name in input.shape));
}

/** Returns a result in the form of another server. Programs find a Fault under `_meta`, as in all failed results. */
function alikeResult(alike: AlikeResults<never>, outcome: Record<string, unknown> | Fault): CallToolResult {
  const content = (text: string) => [{ type: "text" as const, text }];
  if (outcome instanceof Fault)
    return { ...toolError(outcome), ...(alike.failed && { content: content(alike.failed(outcome)) }) };
  const { position, cache: _, ...output } = outcome;
  const text = alike.text?.(output as never) ?? JSON.stringify(output);
  const result = { content: content(text), _meta: { [POSITION_META]: position } };
  return alike.isTextOnly === true ? result : { structuredContent: output, ...result };
}

/** Reports whether a tool is listed: a grant allows it anywhere, or for the verb `operate` names it in full. */
function isOffered({ name, access: { verb } }: Operation, rights: Rights): boolean {
  const question = { verb, operation: name };
  return verb === "operate" ? rights.namesOperation(question) : rights.mayUseSomewhere(question);
}

function toolOf({ operation, inputSchema, outputSchema }: Entry): Tool {
  const { hints } = operation;
  const reads = onlyReads(operation);
  return {
    name: operation.toolName ?? operation.name,
    title: operation.title,
    description: operation.description,
    inputSchema: toolInput(inputSchema, COMMON_NAMES),
    ...(declaresOutput(operation) ? { outputSchema: outputOf(operation, outputSchema) } : {}),
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

/**
 * Reports whether a tool says how its answers look: those of writes, and of reads about this node, are short. Others
 * may be long, and are then sent once.
 */
function declaresOutput(operation: Operation): boolean {
  if (operation.alike !== undefined) return operation.alike.isTextOnly !== true;
  const isShort = operation.kind === "write" || (operation.kind === "read" && operation.local === true);
  return isShort && operation.refused === undefined;
}

function outputOf(operation: Operation, schema: Record<string, unknown>): { type: "object"; [key: string]: unknown } {
  return operation.alike === undefined ? withPosition(schema) : { ...schema, type: "object" };
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
