// One MCP message to a node and its responses: POST to /mcp, read as JSON or as an event stream, one message at a time.

import { isObject } from "../lib/json-object.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import { MCP_PATH, type Send } from "./endpoint.ts";
import { NotSentError, OutcomeUnknownError, UnavailableError } from "./errors.ts";
import { JsonRpcError, MAX_MESSAGE_CHARS, type Message, type MessageId, oneLine, parseMessage } from "./json-rpc.ts";

/** Takes one message as text on one line, and parsed. The next message is read once the result has resolved. */
export type Take = (text: string, message: Message) => void | Promise<void>;

/** Throws where a response must not be passed on. */
export type Judge = (text: string, message: Message) => void;

/** POSTs one message to MCP. Rejects as `Send` does; NotSentError also when the node is stopping or not ready. */
export async function post(
  send: Send,
  text: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  path = MCP_PATH,
): Promise<Response> {
  const wanted = { ...headers, "content-type": "application/json", accept: "application/json, text/event-stream" };
  const response = await send(path, { method: "POST", headers: wanted, body: text, signal });
  if (response.status !== 503) return response;
  // A node answers /mcp with 503 only before it looks at the message.
  await response.body?.cancel();
  throw new NotSentError("it is stopping or not ready");
}

/**
 * Passes each message of a response to `take`, and resolves after the last one. Rejects with JsonRpcError when the node
 * refused the request and with OutcomeUnknownError when no response to `id` came. `judge` looks at the response to `id`
 * before it is passed on, and throws where it must not be: UnavailableError, so that another node can be asked, or a
 * JsonRpcError in its place.
 */
export async function readResponses(
  response: Response,
  id: MessageId | undefined,
  take: Take,
  judge?: Judge,
): Promise<void> {
  let answered = id === undefined;
  const pass = async (text: string) => {
    const message = parseMessage(text);
    if (message === undefined)
      throw new JsonRpcError(-32603, `The node sent something that is not a JSON-RPC message (${response.status})`, {});
    if (message.method === undefined && message.id === id) {
      judge?.(oneLine(text), message);
      answered = true;
    }
    await take(oneLine(text), message);
  };
  const type = response.headers.get("content-type") ?? "";
  try {
    if (response.ok && type.startsWith("text/event-stream") && response.body !== null) {
      for await (const { data } of readEvents(response.body, MAX_MESSAGE_CHARS)) if (data !== "") await pass(data);
    } else {
      const text = await response.text();
      if (!response.ok) return await passRefusal(response.status, text, id, take);
      if (text !== "") await pass(text);
    }
  } catch (error) {
    if (error instanceof JsonRpcError || error instanceof UnavailableError) throw error;
    throw new OutcomeUnknownError(connectionReason(error));
  }
  if (!answered) throw new OutcomeUnknownError("the stream ended before the answer");
}

/**
 * Passes an error of the protocol on under the id of the request. Throws everything else, our own errors and problem
 * documents, as JsonRpcError.
 */
async function passRefusal(status: number, text: string, id: MessageId | undefined, take: Take): Promise<void> {
  const body = parseMessage(text);
  if (isObject(body?.error)) {
    const { code, message: words, data } = body.error;
    if (typeof code === "number" && code > 0)
      throw new JsonRpcError(code, typeof words === "string" ? words : "", isObject(data) ? data : {});
    const message = { jsonrpc: "2.0", id: body.id ?? id ?? null, error: body.error };
    await take(JSON.stringify(message), message);
    return;
  }
  const problem: Record<string, unknown> = body === undefined ? {} : { ...body };
  const detail =
    typeof problem["detail"] === "string" ? problem["detail"] : `the node answered with HTTP status ${status}`;
  throw new JsonRpcError(status, detail, problem);
}
