// cairn lease run: runs a command while a lease is held, and ends it with all its children before the lease is lost.

import { constants } from "node:os";
import { GuardedProcess } from "../../features/process/index.ts";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { type Command, countOption, type Invocation, textOption } from "../command.ts";
import { say } from "../output.ts";
import { ownCommand } from "../own-command.ts";
import { HeldLease } from "./held-lease.ts";

const DEFAULT_TTL_SECONDS = 60;
/** Longest time that the command gets to end by itself once the lease is nearly lost, in ms. */
const MAX_GRACE_MS = 10_000;
/** Signals that the command gets too. */
const PASSED_ON = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const SECRET_VARIABLE = /^(TS_|TAILSCALE_)/;

/** `cairn lease run`. */
export const leaseRun: Command = {
  words: ["lease", "run"],
  summary: "run a command while you hold a lease, and end it before the lease is lost",
  more: `Examples:
  cairn lease run team-a/deploy -- ./deploy.sh
  cairn lease run team-a/repo --wait 600 --for "nightly build" -- make -j4
The lease is renewed while the command runs, and given back at its end. If it cannot be renewed in time, the command and
its children get SIGTERM, then SIGKILL; the exit code is that of lease_lost. Otherwise it is that of the command. If
cairn itself is killed or stopped, a guard ends the command in the same way; the lease is free once its time is over. The
command finds the fence in CAIRN_FENCE: cairn context put --fence "$CAIRN_FENCE" writes only while the lease is held.`,
  args: [
    { name: "NAME", help: "such as team-a/deploy" },
    { name: "COMMAND...", help: "the command and its arguments, after --" },
  ],
  options: [
    { flags: "--ttl <seconds>", help: `time of the lease without a renewal (default ${DEFAULT_TTL_SECONDS})` },
    { flags: "--for <text>", help: "what you need it for; others see it (default: the command)" },
    { flags: "--wait <seconds>", help: "wait so long for the lease where it is held (default 0: fail)" },
  ],
  asksNode: true,
  async run(invocation) {
    const [name = "", ...words] = invocation.args.flatMap((word) => word ?? []);
    const wanted = {
      name,
      ttlSeconds: countOption(invocation, "ttl", "--ttl") ?? DEFAULT_TTL_SECONDS,
      purpose:
        textOption(invocation, "for") ??
        words
          .join(" ")
          .replaceAll(/\p{Cc}/gu, " ")
          .slice(0, 200),
      waitSeconds: countOption(invocation, "wait", "--wait") ?? 0,
    };
    if (Bun.which(words[0] ?? "") === null) {
      throw new Fault("not_found", `There is no command ${JSON.stringify(words[0])}`, {
        hint: "Give it by its path, or see PATH.",
      });
    }
    const leaving = new AbortController();
    const stopWaiting = onSignals((signal) => leaving.abort(interrupted(signal)));
    const lease = await HeldLease.acquire(invocation, wanted, leaving.signal).finally(stopWaiting);
    return runUnder(lease, wanted.ttlSeconds * 1000, words, invocation);
  },
};

async function runUnder(lease: HeldLease, ttlMs: number, words: string[], { env }: Invocation): Promise<number> {
  const graceMs = Math.min(MAX_GRACE_MS, ttlMs / 5);
  const names = Object.keys(env).filter((name) => !SECRET_VARIABLE.test(name));
  const given = {
    ...childEnvironment(env, names),
    CAIRN_LEASE: lease.name,
    CAIRN_FENCE: lease.fence,
    // Of all leases around the command, for the guard of git.
    CAIRN_FENCES: [env["CAIRN_FENCES"], lease.fence].filter(Boolean).join("\n"),
  };
  const done = new AbortController();
  let stopPassing = () => {};
  let lost: Fault | undefined;
  try {
    const child = GuardedProcess.start(
      { argv: words, cwd: process.cwd(), env: given },
      { command: ownCommand(), leaseMs: lease.leftMs, graceMs, stdio: "inherit" },
    );
    stopPassing = onSignals((signal) => child.signal(signal));
    const keeping = lease.keep(graceMs, done.signal, () => child.renew(lease.leftMs));
    lost = await Promise.race([keeping, child.ended.then(() => undefined)]);
    if (lost !== undefined) {
      say(`the lease of ${lease.name} is lost, ending the command`);
      void child.stop(Math.max(0, Math.min(graceMs, lease.leftMs)));
    }
    const end = await child.ended;
    if (end.cause === "deadline") lost ??= await keeping;
    if (lost !== undefined) throw lost.retold(`The command was ended: ${lost.message}`);
    if (end.cause === "guard_gone") throw withoutGuard();
    return end.code ?? 128 + constants.signals[end.signal ?? "SIGKILL"];
  } finally {
    done.abort();
    stopPassing();
    if (lost === undefined) await giveBack(lease);
  }
}

async function giveBack(lease: HeldLease): Promise<void> {
  await lease.release().catch((error: unknown) => {
    say(
      `cairn: ${lease.name} was not given back and ends by itself: ${error instanceof Error ? error.message : error}`,
    );
  });
}

function withoutGuard(): Fault {
  return new Fault("unavailable", "The command was ended: the process that guards it was killed", {
    hint: "See whether the machine is short of memory, and run it again.",
  });
}

/** Calls `listener` for each signal that asks this process to end. Returns the function that stops it. */
function onSignals(listener: (signal: NodeJS.Signals) => void): () => void {
  const listeners = PASSED_ON.map((signal) => [signal, () => listener(signal)] as const);
  for (const [signal, each] of listeners) process.on(signal, each);
  return () => {
    for (const [signal, each] of listeners) process.off(signal, each);
  };
}

function interrupted(signal: string): Fault {
  return new Fault("cancelled", `Ended by ${signal} while waiting for the lease; the command was not started`);
}
