// Requests as clients really send them, turned into what the SDK takes: `null` for members that are optional, arguments
// as JSON text, an `Accept` that does not name both types. A client that takes only JSON gets its answer as JSON.

import { isObject, parseObject } from "../lib/json-object.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import { objectIn } from "../operation/lenient.ts";

type Json = Record<string, unknown>;

const EVENTS = "text/event-stream";
const BOTH = `application/json, ${EVENTS}`;
/**
 * Under this name arguments that are no object pass the SDK, which would refuse them without saying what came. A client
 * cannot know it, so an argument of this name is ours.
 */
const CARRIED = `io.cairn/arguments-${crypto.randomUUID()}`;
/** Longest message that is collected, in characters. */
const MAX_MESSAGE_CHARS = 64 * 1024 * 1024;

/** Returns the message without params that are null, and with the arguments of a call as an object. */
export function plainMessage(body: unknown): unknown {
  if (!isObject(body) || typeof body["method"] !== "string" || body["params"] === undefined) return body;
  const { params, ...others } = body;
  if (params === null) return others;
  if (!isObject(params)) return body;
  const given = params["arguments"];
  const plain = plainArguments(given, body["method"] === "prompts/get");
  if (plain === given && !Object.values(params).includes(null)) return body;
  const all = given === undefined ? params : { ...params, arguments: plain };
  const kept = Object.entries(all).filter(([, value]) => value !== null);
  return { ...others, params: Object.fromEntries(kept) };
}

/** Returns the arguments that the handler has to judge: what the client gave, whatever it is. */
export function argumentsOf(given: Json): unknown {
  return Object.hasOwn(given, CARRIED) ? given[CARRIED] : given;
}

/** Returns arguments as an object: none for "" and null, that in a JSON text, and what is none carried in one. */
function plainArguments(given: unknown, areTexts: boolean): unknown {
  if (given === undefined || given === null || given === "") return given === "" ? null : given;
  const found = typeof given === "string" ? (objectIn(given) ?? given) : given;
  if (!isObject(found)) return { [CARRIED]: areTexts ? JSON.stringify(found) : found };
  return areTexts ? textsOf(found) : found;
}

/** Returns the arguments of a prompt, which are texts: null means none, and a list or object is carried. */
function textsOf(given: Json): Json {
  const entries = Object.entries(given);
  if (entries.every(([, value]) => typeof value === "string")) return given;
  const named = entries.filter(([, value]) => value !== null);
  if (named.some(([, value]) => typeof value === "object")) return { [CARRIED]: JSON.stringify(given) };
  return Object.fromEntries(named.map(([name, value]) => [name, String(value)]));
}

/** Returns what the client gave as the arguments of a prompt, if they are not an object of texts. */
export function noTextsIn(given: Json): { given: unknown } | undefined {
  const carried = given[CARRIED];
  return typeof carried === "string" ? { given: JSON.parse(carried) } : undefined;
}

/**
 * Returns the request with an `Accept` that the SDK takes, where the client takes JSON, anything, or does not say. What
 * it takes nothing of stays, for the SDK to refuse.
 */
export function accepting(request: Request): Request {
  const accept = request.headers.get("accept");
  if (accept?.includes(EVENTS) === true || request.method === "DELETE") return request;
  const takesAll = accept === null || accept.trim() === "" || accept.includes("*/*");
  const isPost = request.method === "POST";
  if (!takesAll && !(isPost && /application\/(json|\*)/.test(accept))) return request;
  const headers = new Headers(request.headers);
  headers.set("accept", isPost ? BOTH : EVENTS);
  return new Request(request.url, { method: request.method, headers, signal: request.signal });
}

/** Returns a response whose stream ends with its answer as that answer alone, in JSON. Progress is left out. */
export async function answerAlone(response: Response): Promise<Response> {
  if (response.body === null || !response.headers.get("content-type")?.startsWith(EVENTS)) return response;
  for await (const { data } of readEvents(response.body, MAX_MESSAGE_CHARS)) {
    const message = data === "" ? undefined : parseObject(data);
    if (message === undefined || message["method"] !== undefined) continue;
    const session = response.headers.get("mcp-session-id");
    const headers = { "content-type": "application/json", ...(session === null ? {} : { "mcp-session-id": session }) };
    return new Response(data, { headers });
  }
  return new Response(null, { status: 204 });
}
