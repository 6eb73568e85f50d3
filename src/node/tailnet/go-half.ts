// Loads the Go half early in a start, in parallel with what does not need it, and closes it late, after the log has
// released it.

import type { Settings } from "../../config/settings.ts";
import type { Closers } from "../../lib/closers.ts";
import type { Fault } from "../../lib/fault.ts";
import type { LogLine } from "../../observe/logging.ts";
import { openTailnet, type RaftHost, type Tailnet } from "../../tailnet/index.ts";
import { tailnetStopped } from "./tailnet-session.ts";

export interface GoHalfOptions {
  settings: Settings & { readonly data: string };
  /** Private folder for the native file, where the data folder is mounted noexec. */
  runtimeDir: string;
  log: LogLine;
  closers: Closers;
  /** Called when the Go half ends by itself. */
  onFatal: (reason: Fault) => void;
}

/** Begins to load it. Resolves when the Go half has sent its greeting; rejects with Fault `library_failed`. */
export function loadGoHalf({
  settings,
  runtimeDir,
  log,
  closers,
  onFatal,
}: GoHalfOptions): Promise<Tailnet & RaftHost> {
  const engine = settings["tailnet.engine"];
  const loading = openTailnet({ dataDir: settings.data, runtimeDir, log, ...(engine === "auto" ? {} : { engine }) });
  // A failed load rejects `loading` for the phase that awaits it; here it is not an unhandled rejection.
  loading.then(
    (half) => half.on("fatal", (message) => onFatal(tailnetStopped(message))),
    () => {},
  );
  closers.add("go half", async () => {
    const half = await loading.catch(() => undefined);
    // The raft member goes first, so that a leader hands over while its peers can still be reached.
    await half?.raftClose().catch((error: unknown) => log("warning", `ending the raft member: ${String(error)}`));
    await half?.close();
  });
  return loading;
}
