// What a member's tools say about repeating them, and how a call is made repeatable: a key for a write that has none, a position for a wait that has none.
// Only text is inserted; the rest of the message stays byte for byte, since numbers and keys in it are the agent's.

import { isObject } from "../lib/json-object.ts";
import { answers, post, type Sender } from "./endpoint.ts";
import { type Message, MODERN, modernHeaders, ownRequest, parseMessage } from "./message.ts";

/** What the bridge knows of one tool, by its schema and annotations alone. */
export interface Tool {
  /** Takes an idempotency key: with one, it is done once however often it is asked. */
  keyed: boolean;
  /** Changes nothing. */
  reads: boolean;
  /** Waits for what comes after a position. */
  waits: boolean;
  /** Takes the position that its answer must have reached. */
  placed: boolean;
}

export interface ToolFacts {
  byName: ReadonlyMap<string, Tool>;
  /** Equal for equal lists of tools. */
  fingerprint: string;
}

const MAX_PAGES = 20;

/** Asks a node for its tools in the newer era, whatever the client speaks. Rejects as `post` and `answers` do, with LinkError when it refuses. */
export async function askTools(member: Sender, signal: AbortSignal): Promise<ToolFacts> {
  const byName = new Map<string, Tool>();
  const hasher = new Bun.CryptoHasher("sha256");
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { text, message } = ownRequest("tools/list", cursor === undefined ? {} : { cursor });
    const response = await post(member, text, modernHeaders(message, MODERN), signal);
    let result: Record<string, unknown> = {};
    await answers(response, "cairn-bridge", (_text, answer) => {
      result = answer.result ?? {};
    });
    for (const tool of Array.isArray(result["tools"]) ? result["tools"] : []) {
      hasher.update(JSON.stringify(tool));
      if (isObject(tool) && typeof tool["name"] === "string") byName.set(tool["name"], factsOf(tool));
    }
    cursor = result["nextCursor"];
    if (typeof cursor !== "string") break;
  }
  return { byName, fingerprint: hasher.digest("hex") };
}

function factsOf(tool: Record<string, unknown>): Tool {
  const schema = isObject(tool["inputSchema"]) ? tool["inputSchema"]["properties"] : undefined;
  const takes = (name: string): boolean => isObject(schema) && Object.hasOwn(schema, name);
  return {
    keyed: takes("idempotency_key"),
    reads: isObject(tool["annotations"]) && tool["annotations"]["readOnlyHint"] === true,
    waits: takes("timeout_seconds") && takes("since"),
    placed: takes("min_position"),
  };
}

/** Requests besides `tools/call` that change nothing for anybody else. */
const HARMLESS: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "server/discover",
  "subscriptions/listen",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/read",
  "resources/templates/list",
  "resources/subscribe",
  "resources/unsubscribe",
  "completion/complete",
  "logging/setLevel",
]);

/** The tool that a message calls, where it is known. */
export function toolOf(message: Message, facts: ToolFacts | undefined): Tool | undefined {
  const name = message.method === "tools/call" ? message.params?.["name"] : undefined;
  return typeof name === "string" ? facts?.byName.get(name) : undefined;
}

/** Whether a message may be sent again when nobody knows whether it was done. */
export function isRepeatable(message: Message, tool: Tool | undefined): boolean {
  if (message.method === undefined || message.id === undefined) return true;
  if (message.method === "tools/call") return tool?.keyed === true || tool?.reads === true;
  return HARMLESS.has(message.method);
}

/** Arguments of a call, which may be absent. */
export function argumentsOf(message: Message): Record<string, unknown> {
  const given = message.params?.["arguments"];
  return isObject(given) ? given : {};
}

/** The text of a `tools/call` with these arguments added; unchanged where it has no object of arguments. */
export function withArguments(text: string, added: Readonly<Record<string, string>>): string {
  const names = Object.keys(added);
  if (names.length === 0) return text;
  const params = memberStart(text, skipSpace(text, 0), "params");
  const open = params === undefined ? undefined : memberStart(text, params, "arguments");
  if (open === undefined || text[open] !== "{") return text;
  const empty = text[skipSpace(text, open + 1)] === "}";
  const inserted = JSON.stringify(added).slice(1, -1);
  const made = `${text.slice(0, open + 1)}${inserted}${empty ? "" : ","}${text.slice(open + 1)}`;
  return parseMessage(made) === undefined ? text : made;
}

/** Where the value of a key begins in the object that begins at `at`; the last one of several, as JSON.parse takes it. The text is known to be JSON. */
function memberStart(text: string, at: number, key: string): number | undefined {
  if (text[at] !== "{") return undefined;
  let found: number | undefined;
  let place = skipSpace(text, at + 1);
  while (text[place] === '"') {
    const end = endOfValue(text, place);
    const name: unknown = JSON.parse(text.slice(place, end));
    const value = skipSpace(text, skipSpace(text, end) + 1);
    if (name === key) found = value;
    place = skipSpace(text, endOfValue(text, value));
    if (text[place] === ",") place = skipSpace(text, place + 1);
  }
  return found;
}

/** Behind the value that begins at `at`. */
function endOfValue(text: string, at: number): number {
  let depth = 0;
  for (let place = at; place < text.length; place++) {
    const character = text[place];
    if (character === '"') {
      for (place++; text[place] !== '"' && place < text.length; place++) if (text[place] === "\\") place++;
      if (depth === 0) return place + 1;
    } else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (depth === 0) return place;
      depth--;
      if (depth === 0) return place + 1;
    } else if (depth === 0 && character === ",") return place;
  }
  return text.length;
}

function skipSpace(text: string, at: number): number {
  let place = at;
  while (text[place] === " " || text[place] === "\t" || text[place] === "\n" || text[place] === "\r") place++;
  return place;
}
