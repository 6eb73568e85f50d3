// A process that runs a command under a guard, as a node does, for tests that kill or stop it. Its argument is JSON. It
// prints a line with the process ids of the guard and the command, and one with the end.

import { GuardedProcess, type GuardOptions, type ProcessSpec } from "../../src/features/process/index.ts";

export interface GuardedArguments {
  spec: ProcessSpec;
  options: GuardOptions;
  /** Renews the deadline by so much, so often. */
  renew?: { leaseMs: number; everyMs: number };
}

const { spec, options, renew } = JSON.parse(process.argv[2] ?? "") as GuardedArguments;
const guarded = GuardedProcess.start(spec, options);
if (renew !== undefined) setInterval(() => guarded.renew(renew.leaseMs), renew.everyMs);
const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
say({ guard: guarded.guardPid, child: await guarded.started });
say({ end: await guarded.ended });
process.exit(0);
