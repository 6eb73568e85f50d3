// Notifies the service manager (sd_notify) that the node serves, lives and stops. The Go half sends the datagrams,
// since Bun has no datagram sockets.

import type { Environment } from "../../config/environment.ts";
import type { LogLine } from "../../observe/logging.ts";

export interface ServiceManagerOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read. */
  env: Environment;
  /** Sends one datagram to that socket. */
  notify: (socket: string, state: string) => Promise<void>;
  log: LogLine;
}

/** Notifications to systemd; without systemd every method does nothing. */
export interface ServiceManager {
  /** The node serves. From now on the watchdog is fed. */
  ready(): void;
  /** Sets the text of `systemctl status`. */
  status(text: string): void;
  /** The node begins to stop. Resolves when the notification was sent, or could not be. */
  stopping(): Promise<void>;
}

/** Returns the notifications; without NOTIFY_SOCKET none are sent. */
export function serviceManager({ env, notify, log }: ServiceManagerOptions): ServiceManager {
  const socket = env["NOTIFY_SOCKET"] ?? "";
  const say = async (state: string): Promise<void> => {
    if (socket === "") return;
    try {
      await notify(socket, state);
    } catch (error) {
      log("warning", `the service manager did not receive "${state.split("\n")[0]}": ${String(error)}`);
    }
  };
  let watchdog: ReturnType<typeof setInterval> | undefined;
  return {
    ready: () => {
      void say(`READY=1\nMAINPID=${process.pid}`);
      const everyMs = watchdogMs(env);
      // Sent from the event loop that answers requests: when it hangs, the notifications stop and the manager acts.
      if (everyMs !== undefined) watchdog = setInterval(() => void say("WATCHDOG=1"), everyMs).unref();
    },
    status: (text) => void say(`STATUS=${text.replaceAll(/[\r\n\0]/g, " ").slice(0, 500)}`),
    stopping: () => {
      clearInterval(watchdog);
      return say("STOPPING=1");
    },
  };
}

/**
 * Returns half of the interval that the manager allows, as systemd advises; undefined if it does not watch this
 * process.
 */
export function watchdogMs(env: Environment): number | undefined {
  const pid = env["WATCHDOG_PID"];
  if (pid !== undefined && pid !== "" && Number(pid) !== process.pid) return undefined;
  const limit = Number(env["WATCHDOG_USEC"] ?? "");
  return Number.isFinite(limit) && limit > 0 ? Math.max(50, limit / 2000) : undefined;
}
