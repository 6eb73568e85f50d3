// A whole tailnet for tests: starts native/cmd/tailnet and drives it by the lines of native/TAILNET.md. Its nodes are
// real ones and talk over WireGuard; everything is on loopback and removed at the end. That page says what a method
// means.

import { z } from "zod";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import { LineSplitter } from "../../src/tailnet/lines.ts";

/** Deadlines in ms. The tool's own is 60 s a call, and its clients need up to 5 s to close. */
const READY_MS = 10_000;
const CALL_MS = 65_000;
const END_MS = 10_000;
const MAX_LINE_BYTES = 1024 * 1024;
const MAX_STDERR_CHARS = 16 * 1024;

const empty = z.object({});
const node = z.object({
  id: z.string(),
  hostname: z.string(),
  ips: z.array(z.string()),
  user: z.string(),
  tags: z.array(z.string()),
  online: z.boolean(),
});
const client = z.object({ id: z.string(), ips: z.tuple([z.string()], z.string()), proxy: z.string() });
const path = z.enum(["direct", "relay", "none"]);
const ready = z.object({ event: z.literal("ready"), controlUrl: z.string(), domain: z.string() });
const reply = z.object({
  id: z.number(),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }).optional(),
});

export type TailnetNode = z.infer<typeof node>;
/** A client node: `ips` are IPv4 and IPv6 (one with `source` has only that), `proxy` is for `clientFetch`. */
export type TailnetClient = z.infer<typeof client>;
export type TailnetPath = z.infer<typeof path>;

export interface Expected {
  hostname: string;
  user?: string;
  tags?: string[];
  ip?: string;
  /** An address outside the tailnet from which it sends, like a machine behind a subnet router. */
  source?: string;
  keyExpiry?: Date;
}

export interface TailnetGrant {
  src: string[];
  dst: string[];
  app: Record<string, unknown[]>;
}

export interface NodeChange {
  user?: string;
  tags?: string[];
  keyExpiry?: Date | "never";
  expired?: boolean;
  foreign?: boolean | "shared-in" | "sharee" | "domain";
  unsigned?: boolean;
  jailed?: boolean;
  wireguardOnly?: boolean;
  subnetRoutes?: string[];
  ip?: string;
  /** First part of its DNS name; here it is still named by its hostname. */
  name?: string;
  /** The error with which control answers the node itself from now on; "" takes that back. */
  refused?: string;
}

/** One direction between two nodes: times in ms, `loss` from 0 to 1. */
export interface TailnetLink {
  delayMs?: number;
  jitterMs?: number;
  loss?: number;
  cut?: boolean;
}

/** An error of the tool; `code` is one of its error codes. */
export class TailnetError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "TailnetError";
    this.code = code;
  }
}

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

export class TestTailnet implements AsyncDisposable {
  readonly pid: number;
  #controlUrl = "";
  #domain = "";
  #stderr = "";
  #lastId = 0;
  #isOpen = true;
  #ended: Error | undefined;
  readonly #child;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready = Promise.withResolvers<void>();

  /**
   * Starts a tailnet. `listen` is 127.0.0.1:PORT of its control server; `binary` a built tool, else it is built when
   * needed.
   */
  static async start(options: { listen?: string; binary?: string } = {}): Promise<TestTailnet> {
    const tailnet = new TestTailnet(options.binary ?? builtTool(), options.listen);
    try {
      await within(READY_MS, "the test tailnet to be ready", tailnet.#ready.promise);
    } catch (error) {
      await tailnet[Symbol.asyncDispose]();
      throw error;
    }
    return tailnet;
  }

  private constructor(binary: string, listen: string | undefined) {
    this.#child = Bun.spawn({
      cmd: listen === undefined ? [binary] : [binary, "--listen", listen],
      env: { HOME: process.env["HOME"] ?? "/", ...(process.env["TMPDIR"] && { TMPDIR: process.env["TMPDIR"] }) },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.pid = this.#child.pid;
    this.#ready.promise.catch(() => {}); // start() awaits it; a second listener keeps it from being "unhandled"
    void this.#readStderr();
    void this.#readReplies();
  }

  /** The control URL for nodes; it stays the same over `control(false)` and `control(true)`. */
  get controlUrl(): string {
    return this.#controlUrl;
  }

  /** The MagicDNS suffix, such as `cairn-test.ts.net`. */
  get domain(): string {
    return this.#domain;
  }

  /** Sets what the node that registers with this hostname becomes; call it before that. */
  async expect(expected: Expected): Promise<void> {
    await this.#call("expect", { ...expected, keyExpiry: expected.keyExpiry?.toISOString() }, empty);
  }

  /** Sets what nodes must show that are not known yet. */
  async auth(
    mode: "open" | "key" | "interactive" | "refuse",
    options: { keys?: string[]; expiredKeys?: string[] } = {},
  ): Promise<void> {
    await this.#call("auth", { mode, ...options }, empty);
    this.#isOpen = mode === "open" && (options.expiredKeys ?? []).length === 0;
  }

  /** Reports whether a node joins without a key as well as with one. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Does what a user does on the page behind a login URL. */
  async completeLogin(url: string): Promise<void> {
    await this.#call("complete-login", { url }, empty);
  }

  async nodes(): Promise<TailnetNode[]> {
    return (await this.#call("nodes", {}, z.object({ nodes: z.array(node) }))).nodes;
  }

  /** Replaces all grants. */
  async grants(grants: TailnetGrant[]): Promise<void> {
    await this.#call("grants", { grants }, empty);
  }

  /** Changes a node, named by hostname or stable id. */
  async update(name: string, change: NodeChange): Promise<void> {
    const { keyExpiry, ...rest } = change;
    await this.#call(
      "update",
      { node: name, ...rest, keyExpiry: keyExpiry instanceof Date ? keyExpiry.toISOString() : keyExpiry },
      empty,
    );
  }

  /** Deletes a node; its address becomes free. */
  async remove(name: string): Promise<void> {
    await this.#call("remove", { node: name }, empty);
  }

  /** Cuts the control server off, or restores it. Nodes retry in growing steps, so allow them 30 s. */
  async control(up: boolean): Promise<void> {
    await this.#call("control", { up }, empty);
  }

  /** Cuts the relay off, or restores it. */
  async derp(up: boolean): Promise<void> {
    await this.#call("derp", { up }, empty);
  }

  /** Forbids or allows direct paths. A path in use is left within 7 s. */
  async direct(allowed: boolean): Promise<void> {
    await this.#call("direct", { allowed }, empty);
  }

  /**
   * Sets what happens to packets from one node to another (hostname, stable id, or `*`); without `link` all pass at
   * once again. Needs `direct(false)`.
   */
  async link(from: string, to: string, link: TailnetLink = {}): Promise<void> {
    await this.#call("link", { from, to, ...link }, empty);
  }

  /** Grants or revokes certificates, and with `funnel` the right to use Funnel. */
  async https(enabled: boolean, options: { funnel?: boolean } = {}): Promise<void> {
    await this.#call("https", { enabled, ...options }, empty);
  }

  /**
   * Starts a client node, or the same one again after `clientClose`. Without `authKey` it is admitted in every auth
   * mode.
   */
  async client(options: Omit<Expected, "keyExpiry"> & { authKey?: string }): Promise<TailnetClient> {
    return this.#call("client", options, client);
  }

  async clientClose(hostname: string): Promise<void> {
    await this.#call("client-close", { hostname }, empty);
  }

  /**
   * Lets a client respond to HTTP on that port of its addresses: with the request as JSON, or as a server on a loopback
   * address does.
   */
  async clientServe(hostname: string, port: number, from?: string): Promise<void> {
    await this.#call("client-serve", { hostname, port, ...(from === undefined ? {} : { from }) }, empty);
  }

  /** Returns the path by which a node's ping returns to the client now; `none` after 3 s without a response. */
  async clientPath(hostname: string, name: string): Promise<TailnetPath> {
    return (await this.#call("client-path", { hostname, node: name }, z.object({ path }))).path;
  }

  /** Pings until the path is the wanted one; throws after `timeoutMs`. */
  async untilPath(hostname: string, name: string, wanted: TailnetPath, timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = await this.clientPath(hostname, name);
      if (found === wanted) return;
      if (Date.now() > deadline)
        throw new Error(`the path from ${hostname} to ${name} is ${found}, not ${wanted}, after ${timeoutMs} ms`);
      await Bun.sleep(100);
    }
  }

  /** Ends the tailnet by closing its stdin; kills it after 10 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve(this.#child.stdin.end()).catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    await this.#child.exited;
    clearTimeout(timer);
  }

  async #call<T>(method: string, params: object, result: z.ZodType<T>): Promise<T> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    try {
      this.#child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
      await this.#child.stdin.flush();
      return result.parse(await within(CALL_MS, `the test tailnet to answer ${method}`, promise));
    } finally {
      this.#waiting.delete(id);
    }
  }

  async #readReplies(): Promise<void> {
    const lines = new LineSplitter(MAX_LINE_BYTES);
    let cause = "";
    try {
      for await (const chunk of this.#child.stdout) {
        for (const line of lines.push(chunk)) this.#receive(JSON.parse(new TextDecoder().decode(line)));
      }
    } catch (error) {
      cause = `: ${String(error)}`;
      this.#child.kill("SIGKILL");
    }
    await this.#child.exited;
    this.#ended = new Error(
      `the test tailnet (pid ${this.pid}) ended with ${this.#child.signalCode ?? `code ${this.#child.exitCode}`}${cause}\n${this.#stderr}`,
    );
    this.#ready.reject(this.#ended);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
  }

  #receive(line: unknown): void {
    const event = ready.safeParse(line);
    if (event.success) {
      this.#controlUrl = event.data.controlUrl;
      this.#domain = event.data.domain;
      this.#ready.resolve();
      return;
    }
    const { id, result, error } = reply.parse(line);
    const waiting = this.#waiting.get(id);
    if (error === undefined) waiting?.resolve(result);
    else
      waiting?.reject(
        new TailnetError(error.code, error.hint === undefined ? error.message : `${error.message} (${error.hint})`),
      );
  }

  async #readStderr(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#stderr = (this.#stderr + decoder.decode(chunk, { stream: true })).slice(-MAX_STDERR_CHARS);
    }
  }
}

/** `dial`: host:port to connect to, whatever the URL says; the URL's host is still sent as Host. */
export type ClientFetchInit = BunFetchRequestInit & { dial?: string };

/** `fetch` as that client node. Certificates of https URLs are not checked; no header is removed. */
export async function clientFetch(proxy: string, url: string | URL, init: ClientFetchInit = {}): Promise<Response> {
  const { dial, ...rest } = init;
  const target = new URL(url);
  const headers = new Headers(rest.headers);
  if (dial !== undefined) headers.set("Tailnet-Dial", dial);
  if (target.protocol === "https:") {
    // TLS begins at the client node, not at the socket. The default port of http would be dropped from the URL: dial
    // it.
    headers.set("Tailnet-Scheme", "https");
    if (target.port === "80" && dial === undefined) headers.set("Tailnet-Dial", target.host);
    target.protocol = "http:";
  }
  return fetch(target, { ...rest, headers, unix: proxy });
}

let tool: string | undefined;

function builtTool(): string {
  if (host === undefined) throw new Error(`the test tailnet is not built for ${process.platform}-${process.arch}`);
  tool ??= ensureNative(host, "tailnet");
  return tool;
}

async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${milliseconds} ms for ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
