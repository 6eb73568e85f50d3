// Processes of the bench: programs that report by a JSON line that they are ready, the load generator, and a node of
// the compiled file.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LineSplitter } from "../src/tailnet/lines.ts";
import type { LoadPlan, LoadResult } from "./load.ts";

const ANSWER_MS = 120_000;
const END_MS = 15_000;
const MAX_LINE_BYTES = 1024 * 1024;

export type Line = Record<string, unknown>;

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** Returns the next line whose fields match; throws when the program ends, or after two minutes. */
  line(fits: (line: Line) => boolean): Promise<Line>;
  send(line: object): void;
  /** Asks it to end and waits until it has ended. */
  end(): Promise<void>;
}

/** Starts a program that writes JSON lines. Its stderr goes to ours. */
export function startProgram(cmd: string[], env: Record<string, string> = {}): Program {
  const child = Bun.spawn({
    cmd,
    cwd: dirname(import.meta.dir),
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: process.env["HOME"] ?? "/", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const seen: Line[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const each of [...waiting]) each();
  };
  void (async () => {
    const lines = new LineSplitter(MAX_LINE_BYTES);
    for await (const chunk of child.stdout) {
      for (const line of lines.push(chunk)) seen.push(JSON.parse(new TextDecoder().decode(line)));
      wake();
    }
    await child.exited;
    wake();
  })();
  const line = async (fits: (line: Line) => boolean): Promise<Line> => {
    const deadline = Date.now() + ANSWER_MS;
    for (;;) {
      const at = seen.findIndex(fits);
      if (at >= 0) return seen.splice(0, at + 1).at(-1) ?? {};
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${cmd.slice(0, 3).join(" ")} ended with ${child.exitCode ?? child.signalCode}`);
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${cmd.slice(0, 3).join(" ")} did not answer in ${ANSWER_MS} ms`);
      const woken = Promise.withResolvers<void>();
      const timer = setTimeout(woken.resolve, left);
      waiting.add(woken.resolve);
      await woken.promise;
      waiting.delete(woken.resolve);
      clearTimeout(timer);
    }
  };
  const end = async () => {
    await Promise.resolve(child.stdin.end()).catch(() => {});
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await child.exited;
    clearTimeout(late);
  };
  return {
    pid: child.pid,
    line,
    send: (value) => {
      child.stdin.write(`${JSON.stringify(value)}\n`);
      void child.stdin.flush();
    },
    end,
    [Symbol.asyncDispose]: end,
  };
}

/** Starts one of the programs of this folder with this Bun and waits until it is ready. */
export async function startScript(name: string, ...args: string[]): Promise<{ program: Program; ready: Line }> {
  const program = startProgram([process.execPath, join(import.meta.dir, name), ...args]);
  return { program, ready: await program.line((line) => line["event"] === "ready") };
}

export class Load implements AsyncDisposable {
  readonly #program = startProgram([process.execPath, join(import.meta.dir, "load.ts")]);

  /** Puts load on a server; throws when a connection broke or a response was not a success. */
  async run(plan: LoadPlan): Promise<LoadResult> {
    this.#program.send(plan);
    const answer = await this.#program.line((line) => "perSecond" in line || "error" in line);
    if ("error" in answer) throw new Error(String(answer["error"]));
    const result = answer as unknown as LoadResult;
    if (result.refused > 0 || result.firstRefusal !== "")
      throw new Error(`${result.refused} requests were refused; the first answer was\n${result.firstRefusal}`);
    return result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program.end();
  }
}

/**
 * Returns the resident memory of a process in MB (millions of bytes), and the part of it that belongs to no file: pages
 * of the executable are shared by its processes and can be dropped.
 */
export function memoryOf(pid: number): { residentMb: number; privateMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return { residentMb: (kib("VmRSS") * 1024) / 1e6, privateMb: (kib("RssAnon") * 1024) / 1e6 };
}
