// Opens what reports the health of the node to people, scripts and the service manager. Nothing is reported yet.

import { logFor } from "../../observe/logging.ts";
import { Announcer } from "../report/announcer.ts";
import { type ServiceManager, serviceManager } from "../report/service-manager.ts";
import type { StartContext } from "../start-context.ts";
import type { OpenedData } from "./open-data.ts";

/** What later phases report to. */
export interface Reporting {
  announcer: Announcer;
  manager: ServiceManager;
}

/** The service manager receives nothing before the tailnet is loaded, since the Go half sends it. */
export function openReporting(start: StartContext, { sockets }: OpenedData): Reporting {
  const { options, conditions, state, closers } = start;
  const manager = serviceManager({
    env: options.env,
    notify: async (socket, text) => state.connection()?.tailnet.notify(socket, text),
    log: logFor("service"),
  });
  const announcer = new Announcer({
    loaded: options.loaded,
    report: options.report,
    conditions,
    socket: sockets.cairn,
    state,
    manager,
  });
  closers.add("ready timer", () => announcer.stop());
  return { announcer, manager };
}
