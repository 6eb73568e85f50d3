// The Go half of a node: loaded at the first moment of a start, beside everything that does not need it, and ended last, after the log let go of it.

import type { Settings } from "../../config/settings.ts";
import type { Closers } from "../../lib/closers.ts";
import { Fault } from "../../lib/fault.ts";
import type { LogLine } from "../../observe/logging.ts";
import { openTailnet, type RaftHost, type Tailnet } from "../../tailnet/index.ts";

export interface GoHalfOptions {
  settings: Settings & { readonly data: string };
  /** Private folder for what may not be executed in the data folder. */
  runtimeDir: string;
  log: LogLine;
  closers: Closers;
  /** It ended by itself. */
  onFatal: (reason: Fault) => void;
}

/** Begins to load it; resolves when it has greeted. Rejects with Fault `library_failed`. */
export function loadGoHalf({
  settings,
  runtimeDir,
  log,
  closers,
  onFatal,
}: GoHalfOptions): Promise<Tailnet & RaftHost> {
  const engine = settings["tailnet.engine"];
  const loading = openTailnet({ dataDir: settings.data, runtimeDir, log, ...(engine === "auto" ? {} : { engine }) });
  // Whoever waits for it hears of a failure; until then it is nobody's surprise.
  loading.then(
    (half) =>
      half.on("fatal", (message) =>
        onFatal(
          new Fault("tailnet_failed", `The tailnet half stopped: ${message}`, {
            hint: "Start the node again; what was acknowledged is on disk.",
          }),
        ),
      ),
    () => {},
  );
  closers.add("go half", async () => {
    const half = await loading.catch(() => undefined);
    // First the member, so that a leader hands over while its peers can still be reached.
    await half?.raftClose().catch((error: unknown) => log("warning", `ending the raft member: ${String(error)}`));
    await half?.close();
  });
  return loading;
}
