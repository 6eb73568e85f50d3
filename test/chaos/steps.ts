// Ends a node by kill -9 exactly at one step of its work with files. strace holds the thread that is about to make a
// system call on a path (its entry is delayed, the call not yet made); then the process is killed. The product has no
// code for it.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import type { FleetNode } from "../kit/fleet.ts";

/** A call on a path at which a process is held: the `when`-th since its start. */
export interface Step {
  calls: readonly string[];
  path: string;
  when?: number;
}

/** Longer than any test waits for a held call. */
const HELD_US = 300_000_000;

export class StepTrap {
  readonly #folder = mkdtempSync(join(tmpdir(), "cairn-step-"));
  readonly #out = join(this.#folder, "trace");
  readonly wrap: readonly string[];

  constructor({ calls, path, when = 1 }: Step) {
    if (Bun.which("strace") === null) throw new Error("strace is needed to stop a node at a step, and is not in PATH");
    const names = calls.map((call) => `?${call}`).join(",");
    this.wrap = [
      ...["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", this.#out, "-P", path, "-e", `trace=${names}`],
      ...["-e", `inject=${names}:delay_enter=${HELD_US}:when=${when}+`, "-e", "signal=none", "--"],
    ];
  }

  /** Resolves when the process is held at the step; returns the line of the trace. */
  async sprung(node: FleetNode, withinMs = 90_000): Promise<string> {
    const look = () => {
      const text = existsSync(this.#out) ? readFileSync(this.#out, "utf8") : "";
      // A call that is held has no result yet.
      return text.split("\n").find((line) => /^\d+ +\w+\(/.test(line) && !/\) += /.test(line));
    };
    return eventually("the step", look, {
      withinMs,
      seen: () => `${node.process.ended} ${node.process.stderr.slice(-2000)}`,
    });
  }

  /** Waits for the step and kills the process there. */
  async kill(node: FleetNode): Promise<string> {
    const line = await this.sprung(node);
    await killTraced(node);
    rmSync(this.#folder, { recursive: true, force: true });
    return line;
  }
}

/** A tracer that holds a thread keeps it from dying, so it is killed too. */
export async function killTraced(node: FleetNode): Promise<void> {
  const status = readFileSync(`/proc/${node.process.pid}/status`, "utf8");
  const tracer = Number(/^TracerPid:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  node.kill();
  if (tracer > 0) process.kill(tracer, "SIGKILL");
  await node.process.exited();
}

/** Resolves when the folder has a file with this prefix and at least this size. */
export function growing(folder: string, prefix: string, bytes: number, withinMs = 40_000): Promise<string> {
  const look = () =>
    existsSync(folder)
      ? readdirSync(folder).find(
          (name) =>
            name.startsWith(prefix) && (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0) >= bytes,
        )
      : undefined;
  return eventually(`${prefix}* in ${folder}`, look, { withinMs });
}
