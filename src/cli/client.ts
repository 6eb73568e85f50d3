// Asks a node for an operation: the local one by its socket, or another one by URL. The node decides everything; this only carries.

import { existsSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Environment } from "../config/environment.ts";
import { defaultDataDir, socketCandidates } from "../config/paths.ts";
import { Fault, type FaultCode, isFaultCode } from "../lib/fault.ts";
import { type Invocation, textOption, textsOption } from "./command.ts";

/** How long a node may take to answer, in milliseconds, unless the question takes longer by nature. */
const ANSWER_MS = 30_000;

/** Where the asked node is. */
export type NodeAddress = { socketPath: string } | { url: string };

/** An answer as the node sent it, and parsed. */
export interface NodeAnswer {
  text: string;
  body: Record<string, unknown>;
}

/** The node that `--url`, CAIRN_URL, `--data` or the default data folder name. Throws Fault `not_running` when there is no socket. */
export function nodeAddress(invocation: Invocation): NodeAddress {
  const url =
    textsOption(invocation, "url")[0] ??
    (textOption(invocation, "data") === undefined ? invocation.env["CAIRN_URL"] : undefined);
  return url === undefined || url === ""
    ? { socketPath: localSocket(dataDirOf(invocation), invocation.env) }
    : { url: baseUrl(url) };
}

/** Runs an operation on the node; `--min-position` and `--consistency` go with it. Throws the Fault that the node answered, `not_running` or `unavailable`. */
export async function askNode(
  invocation: Invocation,
  operation: string,
  input: unknown,
  options: { answerMs?: number; signal?: AbortSignal } = {},
): Promise<NodeAnswer> {
  const address = nodeAddress(invocation);
  const answerMs = options.answerMs ?? ANSWER_MS;
  const late = AbortSignal.timeout(answerMs);
  let response: Response;
  let text: string;
  try {
    response = await request(address, `/operations/${encodeURIComponent(operation)}`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", ...freshness(invocation) },
      body: JSON.stringify(input),
      signal: options.signal === undefined ? late : AbortSignal.any([late, options.signal]),
    });
    text = await response.text();
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw unreachable(address, cause, answerMs);
  }
  const body = parseObject(text);
  if (response.ok && body !== undefined) return { text, body };
  throw faultOf(response.status, body);
}

/** Opens a stream of the node, such as `/changes?feed=sse`. Throws as `askNode` does. */
export async function openStream(
  invocation: Invocation,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const address = nodeAddress(invocation);
  let response: Response;
  try {
    response = await request(address, path, { headers: { ...headers, ...freshness(invocation) }, signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(address, cause, ANSWER_MS);
  }
  if (response.ok && response.body !== null) return response.body;
  throw faultOf(response.status, parseObject(await response.text()));
}

/** Whether the node takes calls now. Throws as `askNode` does where nobody answers. */
export async function isReady(invocation: Invocation): Promise<boolean> {
  const address = nodeAddress(invocation);
  try {
    const response = await request(address, "/ready", { signal: AbortSignal.timeout(ANSWER_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch (cause) {
    throw unreachable(address, cause, ANSWER_MS);
  }
}

function request(address: NodeAddress, path: string, init: RequestInit): Promise<Response> {
  const base = "url" in address ? address.url : "http://cairn";
  const target = "socketPath" in address ? { unix: address.socketPath } : {};
  return fetch(`${base}${path}`, { ...init, redirect: "manual", ...target });
}

function freshness(invocation: Invocation): Record<string, string> {
  const position = textOption(invocation, "minPosition");
  const level = textOption(invocation, "consistency");
  return {
    ...(position === undefined ? {} : { "cairn-min-position": position }),
    ...(level === undefined ? {} : { "cairn-consistency": level }),
  };
}

/** The data folder that `--data`, CAIRN_DATA or the default name. */
export function dataDirOf(invocation: Invocation): string {
  return textOption(invocation, "data") ?? (invocation.env["CAIRN_DATA"] || defaultDataDir(invocation.env));
}

/** The node of the data folder on this machine, whatever URL is given. Throws Fault `not_running` when there is no socket. */
export function localAddress(invocation: Invocation): NodeAddress {
  return { socketPath: localSocket(dataDirOf(invocation), invocation.env) };
}

/** A socket in a folder of the data folder's owner: anyone could put a folder of that name into /tmp. */
function localSocket(dataDir: string, env: Environment): string {
  const owner = existsSync(dataDir) ? statSync(dataDir).uid : process.getuid?.();
  const found = socketCandidates(dataDir, env).find((path) => {
    const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
    return folder?.isDirectory() === true && folder.uid === owner && existsSync(path);
  });
  if (found !== undefined) return found;
  throw new Fault("not_running", `No cairn node runs with the data folder ${dataDir}`, {
    hint: "Start one with `cairn serve`, name its folder with --data, or another node with --url.",
  });
}

/** The origin of a URL that a person gave for a node; Fault `invalid_input` for what is none. */
export function baseUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    throw new Fault("invalid_input", `${JSON.stringify(url)} is not the address of a node`, {
      hint: "Give it as http://cairn or https://cairn.your-tailnet.ts.net.",
    });
  }
  return parsed.origin;
}

function unreachable(address: NodeAddress, cause: unknown, answerMs: number): Fault {
  const place = "url" in address ? address.url : address.socketPath;
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return new Fault("unavailable", `The node at ${place} did not answer within ${answerMs / 1000} s`, {
      hint: "See its log; a write may have been done.",
    });
  }
  if (cause instanceof Error && "code" in cause && cause.code === "EACCES") {
    return new Fault("forbidden", `The socket ${place} is not open to this user`, {
      hint: "Run as the node's user, or set cli.group on the node.",
    });
  }
  return new Fault("not_running", `No node answers at ${place}: ${reason}`, {
    hint: "Start it with `cairn serve`, or see whether the address is right.",
    cause,
  });
}

/** The JSON object in a text, or undefined. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** The problem document of the node as the Fault it was. */
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
  return new Fault(known, typeof detail === "string" ? detail : `The node answered with status ${status}`, {
    ...(typeof hint === "string" ? { hint } : {}),
    details,
  });
}
