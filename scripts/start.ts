// npm start, and start:central, start:regional, start:cache: runs a node from source. With a key in the environment it
// joins that tailnet; without one it gets a private tailnet on this machine, for a first try (start-private.ts). Ctrl-C
// ends everything that was started.

import { dirname, join } from "node:path";
import { TAILNET_SECRET_NAMES } from "../src/config/secrets.ts";
import { BuildError, ensureNative } from "./native.ts";
import { startArguments, startPrivate } from "./start-private.ts";
import { host, planFor } from "./targets.ts";

const main = join(dirname(import.meta.dir), "src", "main.ts");

process.umask(0o077);
try {
  const hasKey =
    TAILNET_SECRET_NAMES.some((name) => process.env[name] || process.env[`${name}_FILE`]) ||
    process.env["CREDENTIALS_DIRECTORY"] !== undefined;
  const values = hasKey ? undefined : startArguments(process.argv.slice(2));
  const engine = buildEngine();
  process.exit(values === undefined ? await startWithKey(engine) : await startPrivate(engine, values));
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`cairn: ${error.message}`);
  process.exit(error.exit);
}

/** Builds the Go half: the library, or without a C compiler the sidecar, which needs only Go. */
function buildEngine(): "library" | "sidecar" {
  if (host === undefined)
    throw new BuildError(`this machine (${process.platform}-${process.arch}) is none that Cairn is built for`);
  const plan = planFor(host);
  const engine = "missing" in plan ? "sidecar" : plan.engine;
  if ("missing" in plan)
    console.error(`cairn: there is no ${plan.missing}; the tailnet half runs as a child process instead`);
  ensureNative(host, engine);
  return engine;
}

/** Runs a node on the tailnet that the key belongs to; all arguments go to `cairn serve`. */
async function startWithKey(engine: string): Promise<number> {
  const node = Bun.spawn({
    cmd: [process.execPath, main, "serve", "--tailnet-engine", engine, ...process.argv.slice(2)],
    stdio: ["inherit", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => node.kill(signal));
  return node.exited;
}
