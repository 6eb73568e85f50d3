// Callers of a node over the tailnet: HTTP, operations, MCP and raw bytes from a client node of the test tailnet, or
// from a socket of this machine.

import { connect, type Socket } from "node:net";
import { type Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { within } from "./eventually.ts";
import { type Era, newClient } from "./mcp-client.ts";
import { type ClientFetchInit, clientFetch, type Expected, type TestTailnet } from "./tailnet.ts";

const ANSWER_MS = 30_000;

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The body as a JSON object; empty when it is not one. */
  body: Record<string, unknown>;
}

export class Agent {
  readonly id: string;
  readonly ip: string;
  readonly proxy: string;
  readonly base: string;

  /** `base` is where requests go: the node's base URL. */
  constructor(client: { id: string; ips: readonly string[]; proxy: string }, base: string) {
    this.id = client.id;
    this.ip = client.ips[0] ?? "";
    this.proxy = client.proxy;
    this.base = base;
  }

  /** Sends a request to the node and reads the whole response. */
  async http(path: string, init: ClientFetchInit = {}): Promise<Answer> {
    const response = await this.fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...init });
    return answerOf(response, await response.text());
  }

  /** The same, with the response body still to be read. */
  fetch(path: string, init: ClientFetchInit = {}): Promise<Response> {
    return clientFetch(this.proxy, new URL(path, this.base), init);
  }

  put(id: string, content: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.http(`/contexts/${id}`, {
      method: "PUT",
      body: content,
      headers: { "content-type": "text/plain", ...headers },
    });
  }

  get(id: string): Promise<Answer> {
    return this.http(`/contexts/${id}`);
  }

  /** Runs an operation over REST. */
  call(operation: string, input: unknown = {}): Promise<Answer> {
    return this.http(`/operations/${operation}`, {
      method: "POST",
      body: JSON.stringify(input),
      headers: { "content-type": "application/json" },
    });
  }

  /** Returns a real MCP client of that era, connected over the tailnet. Close it. */
  async mcp(era: Era): Promise<Client> {
    const client = newClient(era);
    const transport = new StreamableHTTPClientTransport(new URL("/mcp", this.base), {
      fetch: (url, init) =>
        clientFetch(this.proxy, url, { ...init, headers: new Headers(init?.headers) } as ClientFetchInit),
    });
    await within(`the ${era} MCP client to connect`, client.connect(transport));
    return client;
  }

  /**
   * Sends these bytes to host:port as they are, and returns everything that is received until the node closes or
   * `untilText` was seen.
   */
  raw(bytes: string | Uint8Array, options: { target?: string; untilText?: string; withinMs?: number } = {}) {
    const target = options.target ?? `${new URL(this.base).hostname}:80`;
    return rawOver(this.proxy, target, bytes, options);
  }
}

/** What was received on a stream so far, and how it ended. */
export interface Followed {
  text: () => string;
  /** Resolves when the stream ended or broke. */
  ended: Promise<void>;
  isOpen: () => boolean;
}

/** Reads a stream in the background until its end. */
export function follow(response: Response): Followed {
  let text = "";
  let open = true;
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    } catch {
      // A broken connection counts as an end too.
    } finally {
      open = false;
    }
  };
  return { text: () => text, ended: read(), isOpen: () => open };
}

/** Returns a client node of that tailnet that calls the node at `base`. */
export async function joinAgent(
  tailnet: TestTailnet,
  base: string,
  options: Omit<Expected, "keyExpiry"> & { authKey?: string },
): Promise<Agent> {
  return new Agent(await tailnet.client(options), base);
}

/** A response on a socket of this machine (`cairn.sock`). */
export async function localHttp(socket: string, path: string, init: BunFetchRequestInit = {}): Promise<Answer> {
  const response = await fetch(`http://cairn${path}`, {
    signal: AbortSignal.timeout(ANSWER_MS),
    ...init,
    unix: socket,
  });
  return answerOf(response, await response.text());
}

function answerOf(response: Response, text: string): Answer {
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) body = { ...parsed };
  } catch {
    // Not JSON: `text` has the body.
  }
  return { status: response.status, headers: response.headers, text, body };
}

export interface RawAnswer {
  text: string;
  /** Reports whether the other side closed the connection. */
  closed: boolean;
}

/**
 * Time limit and number of attempts: a port that a closed connection still holds makes netstack drop the first packet.
 */
const CONNECT_MS = 5_000;
const CONNECT_TRIES = 5;

/** Opens a raw stream by a CONNECT to the client. */
export async function openRaw(proxy: string, target: string): Promise<Socket> {
  for (let left = CONNECT_TRIES; ; left--) {
    const socket = connect({ path: proxy });
    try {
      await within(`CONNECT ${target}`, connected(socket, target), CONNECT_MS);
      socket.on("error", () => {});
      return socket;
    } catch (error) {
      socket.destroy();
      if (left === 1) throw error;
    }
  }
}

/** Sends the CONNECT; resolves, with the socket paused, when the stream is open. */
async function connected(socket: Socket, target: string): Promise<void> {
  const ready = Promise.withResolvers<void>();
  let head = "";
  const take = (chunk: Buffer): void => {
    head += chunk.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    socket.off("data", take);
    if (!head.startsWith("HTTP/1.1 200")) ready.reject(new Error(`CONNECT ${target}: ${head}`));
    const rest = head.slice(end + 4);
    if (rest !== "") socket.unshift(Buffer.from(rest, "latin1"));
    socket.pause();
    ready.resolve();
  };
  socket.on("data", take);
  socket.once("error", ready.reject);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  await ready.promise;
  socket.off("error", ready.reject);
}

async function rawOver(
  proxy: string,
  target: string,
  bytes: string | Uint8Array,
  { untilText, withinMs = ANSWER_MS }: { untilText?: string; withinMs?: number },
): Promise<RawAnswer> {
  const socket = await openRaw(proxy, target);
  const done = Promise.withResolvers<RawAnswer>();
  let text = "";
  const timer = setTimeout(() => done.resolve({ text, closed: false }), withinMs);
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (untilText !== undefined && text.includes(untilText)) done.resolve({ text, closed: false });
  });
  socket.on("close", () => done.resolve({ text, closed: true }));
  socket.resume();
  socket.write(bytes);
  try {
    return await done.promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
