// Starts and stops a node. A start is a sequence of phases (phases/); each gets the results of the earlier ones and
// adds what it opens to the closers, which run in reverse.

import type { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { comesBackAfter } from "../membership/index.ts";
import { fullAtStart, isStorageFull } from "../store/damage.ts";
import { checkBounds } from "./check-bounds.ts";
import type { OpenListeners } from "./listeners/open-listeners.ts";
import { openReporting, type Reporting } from "./phases/announce.ts";
import { type BuiltNode, buildNode } from "./phases/build-node.ts";
import { joinTailnet } from "./phases/join-tailnet.ts";
import { listenLocally } from "./phases/listen-locally.ts";
import { openData } from "./phases/open-data.ts";
import { startLog } from "./phases/start-log.ts";
import { reloadLine } from "./reload.ts";
import { type StartContext, startContext } from "./start-context.ts";
import { refuseUnsafeModes, type StartOptions } from "./start-options.ts";
import type { TailnetSession } from "./tailnet/tailnet-session.ts";

/** A node that serves locally. */
export interface RunningNode {
  /** Drains and closes everything; resolves when nothing of the node is left. Safe to call twice. */
  stop(reason: string): Promise<void>;
  /** Reads settings and policy file again, and logs the result. */
  reload(): void;
  /** Resolves with the Fault that stopped the node, if it stops by itself; `stop` must still be called. */
  readonly failed: Promise<Fault>;
}

/**
 * Starts a node. Resolves when it serves locally; the tailnet follows as events. Throws a Fault, with everything closed
 * again. A member whose data do not belong together rejoins its fleet in a second attempt.
 */
export async function startNode(options: StartOptions): Promise<RunningNode> {
  try {
    return await startOnce(options);
  } catch (error) {
    const { data } = options.loaded.settings;
    if (isStorageFull(error)) throw fullAtStart(data, error);
    if (!comesBackAfter(data, error)) throw error;
    return startOnce(options);
  }
}

async function startOnce(options: StartOptions): Promise<RunningNode> {
  refuseUnsafeModes(options);
  checkBounds();
  const start = startContext(options);
  try {
    const opened = openData(start);
    const built = buildNode(start, opened);
    await startLog(start, opened, built);
    const listeners = listenLocally(start, opened, built);
    const reporting = openReporting(start, opened);
    if (options.conformance === true) {
      start.state.startServing();
      reporting.announcer.ready();
      return new StartedNode(start, { built, listeners, reporting, session: undefined });
    }
    const session = await joinTailnet(start, { opened, built, listeners, reporting });
    return new StartedNode(start, { built, listeners, reporting, session });
  } catch (error) {
    await closeAll(start);
    throw error;
  }
}

/** What a stop ends before the closers run. */
interface StartedParts {
  built: BuiltNode;
  listeners: OpenListeners;
  reporting: Reporting;
  /** Undefined in the conformance suite. */
  session: TailnetSession | undefined;
}

class StartedNode implements RunningNode {
  readonly failed: Promise<Fault>;
  readonly #start: StartContext;
  readonly #parts: StartedParts;
  #stopping: Promise<void> | undefined;

  constructor(start: StartContext, parts: StartedParts) {
    this.#start = start;
    this.#parts = parts;
    this.failed = start.failure.first;
  }

  stop(reason: string): Promise<void> {
    this.#stopping ??= this.#stop(reason);
    return this.#stopping;
  }

  reload(): void {
    const { level, text } = reloadLine(() => this.#parts.built.reloader.run());
    this.#start.log(level, text);
  }

  /**
   * No new requests, streams ended with a reason, running requests finished; then the closers: log, store, Go half,
   * lock.
   */
  async #stop(reason: string): Promise<void> {
    const { log, options, state } = this.#start;
    const { built, listeners, reporting, session } = this.#parts;
    log("debug", `stopping: ${reason}`);
    options.report({ event: "stopping", reason });
    state.startDraining();
    await reporting.manager.stopping();
    session?.stop();
    await Promise.all([built.product.endStreams(), listeners.stop()]);
    await closeAll(this.#start);
  }
}

function closeAll({ closers, log }: StartContext): Promise<void> {
  return closers.closeAll((name, error) => log("error", `closing ${name}: ${reasonOf(error)}`));
}
