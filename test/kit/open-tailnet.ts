// A process that only opens the tailnet layer and closes it again: `bun open-tailnet.ts '<OpenOptions as JSON>'`.
// Writes one JSON line. For tests of the places of the native file, which need a process of their own (mount
// namespaces, environment).

import { Fault } from "../../src/lib/fault.ts";
import { type Engine, openTailnet } from "../../src/tailnet/index.ts";

export interface Outcome {
  opened: boolean;
  tailscale?: string;
  code?: string;
  message?: string;
  hint?: string | undefined;
  logs: string[];
}

const options: { engine: Engine; dataDir: string; runtimeDir?: string } = JSON.parse(process.argv[2] ?? "");
const logs: string[] = [];
let outcome: Outcome;
try {
  const tailnet = await openTailnet({ ...options, log: (level, message) => logs.push(`${level}: ${message}`) });
  outcome = { opened: true, tailscale: tailnet.versions.tailscale, logs };
  await tailnet.close();
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  outcome = { opened: false, code: error.code, message: error.message, hint: error.hint, logs };
}
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exit(0);
