// What the service manager is told (sd_notify): that the node serves, that it lives, that it stops. Sent by the Go half, since Bun has no datagram sockets.

import type { Environment } from "../../config/environment.ts";
import type { LogLine } from "../../observe/logging.ts";

export interface ServiceManagerOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read. */
  env: Environment;
  /** Sends one datagram to that socket. */
  notify: (socket: string, state: string) => Promise<void>;
  log: LogLine;
}

/** What systemd is told of this node; without systemd all of it does nothing. */
export interface ServiceManager {
  /** The node serves; from now on it is watched. */
  ready(): void;
  /** What it does now, in words for `systemctl status`. */
  status(text: string): void;
  /** The node begins to stop. Resolves when that was said, or could not be. */
  stopping(): Promise<void>;
}

/** Without a manager nothing is sent. */
export function serviceManager({ env, notify, log }: ServiceManagerOptions): ServiceManager {
  const socket = env["NOTIFY_SOCKET"] ?? "";
  const say = async (state: string): Promise<void> => {
    if (socket === "") return;
    try {
      await notify(socket, state);
    } catch (error) {
      log("warning", `the service manager did not hear "${state.split("\n")[0]}": ${String(error)}`);
    }
  };
  let watchdog: ReturnType<typeof setInterval> | undefined;
  return {
    ready: () => {
      void say(`READY=1\nMAINPID=${process.pid}`);
      const everyMs = watchdogMs(env);
      // From the event loop that answers requests: when it hangs, nothing is said and the manager acts.
      if (everyMs !== undefined) watchdog = setInterval(() => void say("WATCHDOG=1"), everyMs).unref();
    },
    status: (text) => void say(`STATUS=${text.replaceAll(/[\r\n\0]/g, " ").slice(0, 500)}`),
    stopping: () => {
      clearInterval(watchdog);
      return say("STOPPING=1");
    },
  };
}

/** Half of what the manager allows, as systemd advises; undefined when it does not watch this process. */
export function watchdogMs(env: Environment): number | undefined {
  const pid = env["WATCHDOG_PID"];
  if (pid !== undefined && pid !== "" && Number(pid) !== process.pid) return undefined;
  const limit = Number(env["WATCHDOG_USEC"] ?? "");
  return Number.isFinite(limit) && limit > 0 ? Math.max(50, limit / 2000) : undefined;
}
