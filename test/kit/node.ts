// A real cairn node as a process: from source or as the compiled file, with its events, its log lines and ways to end
// it. Its tailnet is test/kit/tailnet.ts, its callers are test/kit/agent.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBundle } from "../../scripts/bundle.ts";
import { finished } from "../../scripts/finished.ts";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import type { NodeEvent, Ready } from "../../src/node/report/events.ts";
import { buildDist } from "./dist.ts";
import { eventually, within } from "./eventually.ts";
import { CANARY_KEY, leaksOf, secretsOf } from "./leaks.ts";
import type { TestTailnet } from "./tailnet.ts";

const END_MS = 20_000;

export interface NodeOptions {
  /** Its control server; without it the node gets no argument that names one. */
  tailnet?: TestTailnet | undefined;
  /** Name on the tailnet; default "cairn". */
  hostname?: string;
  engine?: "library" | "sidecar";
  /** `source` runs a bundle of src/ with Bun, `binary` the compiled file. */
  from?: "source" | "binary";
  /** Further arguments of `serve`. */
  args?: readonly string[];
  /** The whole environment, besides PATH, HOME, TMPDIR, and the suite's canary key where it has no effect. */
  env?: Record<string, string>;
  cwd?: string;
  /** A data folder that is kept; without it the node has a fresh one, which is removed with it. */
  dataDir?: string;
  /** Words before the executable, such as a namespace to run in. */
  wrap?: readonly string[];
  /** Runs this instead of what `from` says. */
  command?: readonly string[];
}

export interface Finished {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
}

/** Returns the command that runs `cairn`, without its arguments. Builds what is missing, once a process. */
export function cairnCommand(from: "source" | "binary", engine?: "library" | "sidecar"): Promise<string[]> {
  const key = from === "binary" ? from : (engine ?? "library");
  const command = commands.get(key) ?? buildCommand(key);
  commands.set(key, command);
  return command;
}

const commands = new Map<string, Promise<string[]>>();

async function buildCommand(what: "binary" | "library" | "sidecar"): Promise<string[]> {
  if (host === undefined) throw new Error(`cairn is not built for ${process.platform}-${process.arch}`);
  if (what === "binary") return [await buildDist(host.name)];
  ensureNative(host, what);
  return [process.execPath, await ensureBundle()];
}

/** Starts a node and returns at once: it may still wait for its tailnet, or refuse to start. */
export async function spawnNode(options: NodeOptions = {}): Promise<TestNode> {
  const command = options.command ?? (await cairnCommand(options.from ?? "source", options.engine));
  return new TestNode(options, command);
}

/** Starts a node and waits until it serves on the tailnet. */
export async function startNode(options: NodeOptions & { tailnet: TestTailnet }): Promise<TestNode> {
  const node = await spawnNode(options);
  try {
    await node.serving();
    return node;
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

export class TestNode implements AsyncDisposable {
  readonly options: NodeOptions;
  /** A folder of its own: HOME and TMPDIR of the process, and the data folder unless one was given. */
  readonly home: string;
  readonly dataDir: string;
  readonly env: Record<string, string>;
  readonly args: readonly string[];
  readonly command: readonly string[];
  readonly events: NodeEvent[] = [];
  /** Reports whether a test sent it a signal that ends it. */
  wasEnded = false;
  /** Everything that it wrote. */
  stdout = "";
  stderr = "";
  readonly #child;
  readonly #ended: Promise<void>;
  /** Commands whose output showed a secret. */
  readonly #leakyCommands: string[] = [];

  constructor(options: NodeOptions, command: readonly string[]) {
    this.options = options;
    this.command = command;
    this.home = mkdtempSync(join(tmpdir(), "cairn-t-"));
    this.dataDir = options.dataDir ?? join(this.home, "data");
    this.env = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: this.home,
      TMPDIR: this.home,
      ...canaryFor(options),
      ...options.env,
    };
    this.args = [
      "serve",
      ...["--data", this.dataDir],
      ...["--hostname", options.hostname ?? "cairn"],
      ...(options.tailnet === undefined ? [] : ["--control-url", options.tailnet.controlUrl, "--private-tailnet"]),
      ...(options.engine === undefined ? [] : ["--tailnet-engine", options.engine]),
      ...(options.args ?? []),
    ];
    this.#child = Bun.spawn({
      cmd: [...(options.wrap ?? []), ...command, ...this.args],
      cwd: options.cwd ?? this.home,
      env: this.env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const out = this.#read(this.#child.stdout, (text) => {
      this.stdout += text;
      this.#parse();
    });
    const err = this.#read(this.#child.stderr, (text) => {
      this.stderr += text;
    });
    this.#ended = Promise.all([this.#child.exited, out, err]).then(() => {});
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Reports whether the process has ended. */
  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Returns the ready event, whatever its state. */
  ready(): Promise<Ready> {
    return this.eventOf("ready", () => true);
  }

  /** Returns the event which says that it serves. */
  async serving(): Promise<{ url: string; mcpUrl: string; name: string; ips: string[] }> {
    return this.#await("the node to serve", () => {
      const found = this.events.find(
        (event) => event.event === "serving" || (event.event === "ready" && event.state === "serving"),
      );
      return found?.event === "serving" || found?.event === "ready"
        ? { url: found.url ?? "", mcpUrl: found.mcpUrl ?? "", name: found.name, ips: found.ips }
        : undefined;
    });
  }

  /** Returns the first event of this kind that matches. */
  eventOf<K extends NodeEvent["event"]>(
    kind: K,
    fits: (event: Extract<NodeEvent, { event: K }>) => boolean,
  ): Promise<Extract<NodeEvent, { event: K }>> {
    const isOfKind = (event: NodeEvent): event is Extract<NodeEvent, { event: K }> => event.event === kind;
    return this.#await(`the event ${kind}`, () => this.events.filter(isOfKind).find(fits));
  }

  /** Waits for a line on stderr that contains this text. */
  logged(text: string): Promise<true> {
    return this.#await(`the log line ${JSON.stringify(text)}`, () => this.stderr.includes(text) || undefined);
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.ended && signal !== "SIGSTOP" && signal !== "SIGCONT") this.wasEnded = true;
    this.#child.kill(signal);
  }

  /** Waits for the end of the process and of its output. */
  async exited(withinMs?: number): Promise<Finished> {
    await within(`the end of node ${this.pid}`, this.#ended, withinMs);
    return {
      code: this.#child.exitCode,
      signal: signalOf(this.#child.signalCode),
      out: this.stdout,
      err: this.stderr,
    };
  }

  /** Sends SIGTERM and waits. */
  async stop(withinMs?: number): Promise<Finished> {
    this.kill("SIGTERM");
    return this.exited(withinMs);
  }

  /** Starts another process with the same data folder, arguments and environment; this one must have ended. */
  async again(changes: Partial<NodeOptions> = {}): Promise<TestNode> {
    return spawnNode({ ...this.options, dataDir: this.dataDir, command: this.command, ...changes });
  }

  /** Runs `cairn` with these arguments on this machine, as its user would. */
  async cli(words: readonly string[], input?: string, withinMs?: number): Promise<Finished> {
    // What follows -- is no option.
    const end = words.includes("--") ? words.indexOf("--") : words.length;
    const child = Bun.spawn({
      cmd: [...this.command, ...words.slice(0, end), "--data", this.dataDir, ...words.slice(end)],
      env: this.env,
      cwd: this.home,
      stdin: input === undefined ? "ignore" : Buffer.from(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    const { out, err } = await within(`cairn ${words.join(" ")}`, finished(child), withinMs);
    if (leaksOf(secretsOf(this.env), { out, err }, []).length > 0) this.#leakyCommands.push(words.join(" "));
    return { code: child.exitCode, signal: signalOf(child.signalCode), out, err };
  }

  /** Returns the codes of the conditions that hold now, over the local socket. */
  async conditions(): Promise<string[]> {
    const { out } = await this.cli(["status", "--json"]);
    const parsed: { conditions: { code: string }[] } = JSON.parse(out);
    return parsed.conditions.map(({ code }) => code);
  }

  /**
   * Ends it, kills it when it does not end in time, and removes its folder. Throws when a secret that it held is
   * anywhere in what it wrote.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) {
      // A paused process receives no other signal.
      this.kill("SIGCONT");
      this.kill("SIGTERM");
      const late = setTimeout(() => this.kill("SIGKILL"), END_MS);
      await this.#child.exited;
      clearTimeout(late);
    }
    // A child that outlived it may hold its pipes; then what was received so far is checked.
    await within("the end of its output", this.#ended).catch(() => {});
    const texts = { stdout: this.stdout, stderr: this.stderr };
    const leaks = [...leaksOf(secretsOf(this.env), texts, [this.dataDir]), ...this.#leakyCommands];
    rmSync(this.home, { recursive: true, force: true });
    if (leaks.length > 0) throw new Error(`a secret of node ${this.pid} is in: ${leaks.join(", ")}`);
  }

  async #await<T>(what: string, look: () => T | undefined): Promise<T> {
    return eventually(
      what,
      () => {
        const found = look();
        if (found === undefined && this.ended)
          throw new Error(
            `${what}: the node ended with ${this.#child.exitCode ?? this.#child.signalCode}\n${this.stderr.slice(-4000)}`,
          );
        return found;
      },
      { seen: () => `${this.stdout}${this.stderr}` },
    );
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  }

  #parse(): void {
    const lines = this.stdout.split("\n").slice(0, -1);
    for (const line of lines.slice(this.events.length)) {
      const parsed: NodeEvent = JSON.parse(line);
      this.events.push(parsed);
    }
  }
}

/** The suite's key, for a node that has none and joins where a key makes no difference, or joins nothing. */
function canaryFor(options: NodeOptions): Record<string, string> {
  const hasOwn = Object.keys(options.env ?? {}).some((name) => /^(TS_|TAILSCALE_|CREDENTIALS_)/.test(name));
  return hasOwn || options.tailnet?.isOpen === false ? {} : { TS_AUTHKEY: CANARY_KEY };
}

function signalOf(signal: string | number | null): string | null {
  return signal === null ? null : String(signal);
}
