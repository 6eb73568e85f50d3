// Vectors from the model in a child process, which starts with the first text and ends when there was none for a while.

import { constants, setPriority } from "node:os";
import { childEnvironment } from "../../../lib/child-environment.ts";
import { Fault, readFault } from "../../../lib/fault.ts";
import { parseJson } from "../../../lib/json-text.ts";
import { readLines } from "../../../lib/read-lines.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { checkedVectors, type Embedder } from "./embedder.ts";
import { MODEL_NAME } from "./model/model-files.ts";
import type { EmbedResponse } from "./model/model-process.ts";

/** How long a child without work is kept, and one that should end is waited for, in ms. */
const IDLE_MS = 60_000;
const END_MS = 2000;
/** Bytes of a line of the child: the vectors of a batch. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

export interface ChildEmbedderOptions {
  /** The command that runs the child, with its arguments. */
  command: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  /** Shorter for tests. */
  idleMs?: number;
}

/** A running child. */
interface Running {
  child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  lines: AsyncGenerator<string | Fault>;
  ended: AbortController;
}

/** The embedder of the installed model. */
export class ChildEmbedder implements Embedder {
  readonly identity = MODEL_NAME;
  readonly model = MODEL_NAME;
  readonly chars = 600;
  readonly batch = 4;
  readonly isResting = false;
  readonly #options: ChildEmbedderOptions;
  #running: Running | undefined;
  /** The last of the requests, which run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ChildEmbedderOptions) {
    this.#options = options;
  }

  /** Process id of the child; undefined while there is none. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  async embed(texts: readonly string[], deadlineMs: number, signal: AbortSignal): Promise<Float32Array[]> {
    const before = this.#last;
    this.#waiting += 1;
    const made = (async () => {
      await before.catch(() => {});
      try {
        signal.throwIfAborted();
        return await this.#ask(texts, deadlineMs, signal);
      } finally {
        this.#waiting -= 1;
        this.#restIfIdle();
      }
    })();
    this.#last = made;
    return made;
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const running = this.#running;
    this.#running = undefined;
    if (running !== undefined) await end(running);
  }

  async #ask(texts: readonly string[], deadlineMs: number, signal: AbortSignal): Promise<Float32Array[]> {
    clearTimeout(this.#idle);
    const deadline = AbortSignal.timeout(deadlineMs);
    const within = AbortSignal.any([deadline, signal]);
    const late = Promise.withResolvers<undefined>();
    within.addEventListener("abort", () => late.resolve(undefined), { once: true });
    try {
      const running = this.#running ?? (await this.#start(late.promise));
      running.child.stdin.write(`${JSON.stringify({ texts })}\n`);
      await running.child.stdin.flush();
      const vectors = await answerOf(running, late.promise);
      return checkedVectors(vectors.map(decoded), texts.length);
    } catch (cause) {
      // What it sends later would be taken for the response to another request.
      await this.close();
      signal.throwIfAborted();
      const what = deadline.aborted ? `took more than ${deadlineMs / 1000} s` : `failed: ${reasonOf(cause)}`;
      throw new Fault("unavailable", `The model ${what}`, {
        hint: "See `cairn search model status`; install it again if it is damaged.",
        cause,
      });
    }
  }

  async #start(late: Promise<undefined>): Promise<Running> {
    const { command, env } = this.#options;
    const child = Bun.spawn({
      cmd: [...command],
      env: childEnvironment(env, ["PATH", "HOME", "TMPDIR", "LANG", "TZ"]),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    const ended = new AbortController();
    const running = { child, lines: readLines(child.stdout, ended.signal, MAX_RESPONSE_BYTES), ended };
    this.#running = running;
    try {
      setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // It has already ended, or this user may not change its priority.
    }
    await answerOf(running, late);
    return running;
  }

  #restIfIdle(): void {
    if (this.#waiting > 0 || this.#running === undefined) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.close(), this.#options.idleMs ?? IDLE_MS);
    this.#idle.unref();
  }
}

/** Returns the next response of a child. */
async function answerOf({ child, lines }: Running, late: Promise<undefined>): Promise<readonly string[]> {
  const next = await Promise.race([lines.next(), late]);
  if (next === undefined) throw new Error("it took too long");
  if (next.done === true) throw new Error(`it ended with ${child.signalCode ?? child.exitCode ?? "an error"}`);
  if (next.value instanceof Fault) throw next.value;
  const response = parseJson(next.value, "a line of it") as EmbedResponse;
  if ("fault" in response) throw readFault(response.fault);
  return response.vectors;
}

async function end({ child, ended }: Running): Promise<void> {
  ended.abort();
  child.stdin.end();
  const kill = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await child.exited;
  clearTimeout(kill);
}

function decoded(base64: string): Float32Array {
  const bytes = new Uint8Array(Buffer.from(base64, "base64"));
  return new Float32Array(bytes.buffer);
}
