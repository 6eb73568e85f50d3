// The service of this machine that runs a node, found by the process id of the node.

import type { Environment } from "../../config/environment.ts";
import { installedState, runManager, type Service, serviceFor } from "../service/manager.ts";
import { restart } from "../service/start.ts";

/** What restarts a node. */
export interface Manager {
  /** Rejects with Fault `not_running` with the reason where it does not start. */
  restart(): Promise<void>;
}

/** Returns what runs this process as a service; undefined: nothing that `cairn service install` made. */
export async function findManager(pid: number, env: Environment): Promise<Manager | undefined> {
  for (const user of [false, true]) {
    const service = serviceFor({ user, dataDir: undefined, configFile: undefined, env });
    if (installedState(service) !== "absent" && (await pidOf(service)) === pid)
      return { restart: () => restart(service) };
  }
  return undefined;
}

async function pidOf({ kind, state }: Service): Promise<number> {
  const { code, out } = await runManager(state);
  if (code !== 0) return 0;
  return Number((kind === "systemd" ? /^MainPID=(\d+)$/m : /^\s*pid = (\d+)$/m).exec(out)?.[1] ?? 0);
}
