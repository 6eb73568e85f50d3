// The HTTP client of the commands: sends an operation to the local node by its socket, or to another one by URL.
// Holds no rules: the node decides, and its errors become Faults again.

import { statSync } from "node:fs";
import { resolve } from "node:path";
import { closedToUser, localAddress, type NodeAddress, nodeOrigin } from "../config/node-address.ts";
import { defaultDataDir } from "../config/paths.ts";
import { wasNeverSent } from "../lib/attempt-proof.ts";
import { directFetch } from "../lib/direct-fetch.ts";
import { Fault, type FaultCode, isFaultCode, readFault } from "../lib/fault.ts";
import { handleFile, readHandle } from "../lib/handle-file.ts";
import { parseObject } from "../lib/json-object.ts";
import { AGENT_HEADER } from "../lib/mcp-names.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { type Invocation, textOption, textsOption } from "./command.ts";

/** Time limit of a request, in ms, where the caller gives none. */
const ANSWER_MS = 30_000;

/** A response: the node's text, that text parsed, and the position that it includes; "" where the node names none. */
export interface NodeAnswer {
  text: string;
  body: Record<string, unknown>;
  position: string;
}

/**
 * Returns the address of the node to ask: `--url`, else CAIRN_URL unless `--data` is given, else the local socket.
 * Throws Fault `not_running` when there is no socket, `invalid_input` for a bad URL.
 */
export function nodeAddress(invocation: Invocation): NodeAddress {
  const url = textsOption(invocation, "url")[0] ?? defaultUrl(invocation);
  return url === undefined || url === "" ? localNodeAddress(invocation) : { url: nodeOrigin(url) };
}

/**
 * Returns the origins that `--url` names, else the one of CAIRN_URL unless `--data` is given. Fault `invalid_input`.
 */
export function urlsOf(invocation: Invocation): string[] {
  const given = textsOption(invocation, "url");
  const byDefault = defaultUrl(invocation);
  const urls = given.length > 0 || byDefault === undefined || byDefault === "" ? given : [byDefault];
  return [...new Set(urls.map(nodeOrigin))];
}

function defaultUrl({ options, env }: Invocation): string | undefined {
  return options["data"] === undefined ? env["CAIRN_URL"] : undefined;
}

/** Returns the absolute path of the data folder: `--data`, else CAIRN_DATA, else the default. */
export function dataDirOf(invocation: Invocation): string {
  return resolve(textOption(invocation, "data") ?? (invocation.env["CAIRN_DATA"] || defaultDataDir(invocation.env)));
}

/**
 * Returns the socket of the data folder's node, whatever URL is given. Throws Fault `not_running` when there is none.
 */
export function localNodeAddress(invocation: Invocation): { socketPath: string } {
  return localAddress(dataDirOf(invocation), invocation.env);
}

/**
 * Runs an operation on the node and returns its response; `--min-position` and `--consistency` are sent along.
 * Throws the Fault that the node returned, `not_running` or `unavailable`.
 */
export async function askNode(
  invocation: Invocation,
  operation: string,
  input: unknown,
  options: { answerMs?: number; signal?: AbortSignal } = {},
): Promise<NodeAnswer> {
  const address = nodeAddress(invocation);
  const own = { ...freshness(invocation), ...agentHeader(invocation) };
  const answerMs = options.answerMs ?? ANSWER_MS;
  let response: Response;
  let text: string;
  try {
    response = await request(address, `/operations/${encodeURIComponent(operation)}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...own,
      },
      body: JSON.stringify(input),
      signal: within(answerMs, options.signal),
    });
    text = await response.text();
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw unreachable(address, cause, answerMs);
  }
  const body = parseObject(text);
  if (response.ok && body !== undefined) return { text, body, position: response.headers.get("cairn-position") ?? "" };
  throw faultOf(response.status, body);
}

/** Opens an event stream of the node, such as `/changes`. Throws as `askNode` does. */
export async function openStream(
  invocation: Invocation,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const address = nodeAddress(invocation);
  const own = { ...freshness(invocation), ...agentHeader(invocation) };
  let response: Response;
  try {
    response = await request(address, path, {
      headers: { ...headers, ...own },
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(address, cause, ANSWER_MS);
  }
  if (response.ok && response.body !== null) return response.body;
  throw faultOf(response.status, parseObject(await response.text()));
}

/** Reports whether the node takes calls now. Throws as `askNode` does when the node cannot be reached. */
export async function isReady(
  invocation: Invocation,
  { answerMs = ANSWER_MS, signal }: { answerMs?: number; signal?: AbortSignal } = {},
): Promise<boolean> {
  const address = nodeAddress(invocation);
  try {
    const response = await request(address, "/ready", { signal: within(answerMs, signal) });
    await response.body?.cancel();
    return response.ok;
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(address, cause, answerMs);
  }
}

function within(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const late = AbortSignal.timeout(ms);
  return signal === undefined ? late : AbortSignal.any([late, signal]);
}

function request(address: NodeAddress, path: string, init: BunFetchRequestInit): Promise<Response> {
  const base = "url" in address ? address.url : "http://cairn";
  const target = "socketPath" in address ? { unix: address.socketPath } : {};
  return directFetch(`${base}${path}`, { ...init, redirect: "manual", ...target });
}

function freshness(invocation: Invocation): Record<string, string> {
  const position = textOption(invocation, "minPosition");
  const level = textOption(invocation, "consistency");
  return {
    ...(position === undefined ? {} : { "cairn-min-position": position }),
    ...(level === undefined ? {} : { "cairn-consistency": level }),
  };
}

/**
 * Returns the file in which the handle of an agent of this caller is kept. At a URL commands and the bridge are one
 * caller and share it: a name has one handle, so with a file each they would end the other's. Of several URLs of a
 * fleet the first one counts. `socketCaller` is the caller at the local socket, where the two differ.
 */
export function handleFileOf(
  invocation: Invocation,
  name: string,
  socketCaller: "local" | "local:bridge" = "local",
): string {
  return handleFile(dataDirOf(invocation), [urlsOf(invocation)[0] ?? socketCaller], name);
}

/** Returns the header for `--agent`: the name of a registered agent, or the path of a file with a handle. */
function agentHeader(invocation: Invocation): Record<string, string> {
  const named = textOption(invocation, "agent");
  if (named === undefined) return {};
  const path = named.includes("/") ? named : handleFileOf(invocation, named);
  const handle = readHandle(path);
  if (handle !== undefined) return { [AGENT_HEADER]: handle };
  throw new Fault("not_found", `There is no handle of an agent in ${path}`, {
    hint: "Register it with cairn agents register NAME, or name the file of its handle by a path.",
  });
}

function unreachable(address: NodeAddress, cause: unknown, answerMs: number): Fault {
  const place = "url" in address ? address.url : address.socketPath;
  const reason = connectionReason(cause);
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return new Fault("unavailable", `The node at ${place} did not answer within ${answerMs / 1000} s`, {
      hint: "See its log; a write may have been executed.",
      facts: { outcome: "unknown" },
    });
  }
  if (cause instanceof Error && "code" in cause && cause.code === "EACCES") {
    return closedToUser(place, statSync(place, { throwIfNoEntry: false })?.uid ?? 0);
  }
  if (!wasNeverSent(cause)) {
    return new Fault("unavailable", `The connection to the node at ${place} broke: ${reason}`, {
      hint: "See its log; a write may have been executed.",
      facts: { outcome: "unknown" },
      cause,
    });
  }
  return new Fault("not_running", `No node answers at ${place}: ${reason}`, {
    hint:
      "url" in address
        ? "Check name and port (cairn status on its machine shows its URLs), or start the node with `cairn serve`."
        : "Start it with `cairn serve`; its log says why it ended.",
    cause,
  });
}

/** Turns the node's problem document back into a Fault. */
function faultOf(status: number, body: Record<string, unknown> | undefined): Fault {
  const { code, detail, hint, ...details } = body ?? {};
  const known: FaultCode =
    typeof code === "string" && isFaultCode(code)
      ? code
      : status === 403
        ? "forbidden"
        : status >= 502
          ? "unavailable"
          : "internal";
  return readFault({
    code: known,
    message: typeof detail === "string" ? detail : `The node answered with status ${status}`,
    hint: typeof hint === "string" ? hint : undefined,
    details,
  });
}
