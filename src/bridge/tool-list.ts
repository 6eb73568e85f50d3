// Reads a node's list of tools: which of them take an idempotency key, only read, wait, or take a position.
// The bridge knows no tool by name, so that new ones need no change here.

import { isObject } from "../lib/json-object.ts";
import { OPERATION_META, STATELESS_REVISION } from "../lib/mcp-names.ts";
import { Sha256 } from "../lib/sha256.ts";
import type { Send } from "./endpoint.ts";
import { post, readResponses } from "./exchange.ts";
import { type Message, OWN_ID, ownRequest, statelessHeaders } from "./json-rpc.ts";

/** What the entry of a tool says. */
export interface Tool {
  /** Takes an idempotency key: with one, repeated calls have one effect. */
  takesKey: boolean;
  readOnly: boolean;
  /** Waits for changes after a position. */
  waits: boolean;
  /** Takes the position that its answer must have reached. */
  takesMinPosition: boolean;
}

/** The tools that a node offers this caller. */
export interface ToolList {
  byName: ReadonlyMap<string, Tool>;
  /** Equal for equal lists. */
  fingerprint: string;
}

const MAX_PAGES = 20;

/** Asks a node for its tools. Rejects as `post` and `readResponses` do. */
export async function fetchTools(send: Send, signal: AbortSignal): Promise<ToolList> {
  const byName = new Map<string, Tool>();
  const hasher = new Sha256();
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { text, message } = ownRequest("tools/list", cursor === undefined ? {} : { cursor });
    const response = await post(send, text, statelessHeaders(message, STATELESS_REVISION), signal);
    let result: Record<string, unknown> = {};
    await readResponses(response, OWN_ID, (_text, answer) => {
      result = answer.result ?? {};
    });
    for (const tool of Array.isArray(result["tools"]) ? result["tools"] : []) {
      hasher.update(JSON.stringify(tool));
      if (isObject(tool) && typeof tool["name"] === "string") byName.set(tool["name"], toolOf(tool));
    }
    cursor = result["nextCursor"];
    if (typeof cursor !== "string") break;
  }
  return { byName, fingerprint: hasher.hex() };
}

function toolOf(listed: Record<string, unknown>): Tool {
  const meta = isObject(listed["_meta"]) ? listed["_meta"][OPERATION_META] : undefined;
  const { keyed, waits, positioned } = isObject(meta) ? meta : {};
  return {
    takesKey: keyed === true,
    readOnly: isObject(listed["annotations"]) && listed["annotations"]["readOnlyHint"] === true,
    waits: waits === true,
    takesMinPosition: positioned === true,
  };
}

/** Returns the tool that a message calls, if the list has it. */
export function calledTool(message: Message, tools: ToolList | undefined): Tool | undefined {
  const name = message.method === "tools/call" ? message.params?.["name"] : undefined;
  return typeof name === "string" ? tools?.byName.get(name) : undefined;
}
