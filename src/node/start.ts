// The start-up story of a node, in order, and its end in reverse. The only place that wires the parts together; none of them knows the others.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import { socketPaths } from "../config/paths.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseRealControl } from "../config/tailnet-settings.ts";
import { refuseBrokenRestore } from "../datadir/backup.ts";
import { planEngine, refuseLostStore, startEngine } from "../datadir/open-engine.ts";
import { refuseBrokenRecovery } from "../datadir/recover.ts";
import { prepareSockets } from "../datadir/sockets.ts";
import { ALL_CONDITIONS } from "../features/index.ts";
import { createClosers } from "../lib/closers.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { openEdgeMember } from "../membership/edge-member.ts";
import { profileOf } from "../membership/fleet-state.ts";
import type { RunningMember } from "../membership/fleet-view.ts";
import { openFullMember } from "../membership/open-full-member.ts";
import { PEER_PORT } from "../membership/peers.ts";
import { planFleet } from "../membership/plan.ts";
import { raftMembersOf } from "../membership/raft-membership.ts";
import { rejoinsAfter } from "../membership/rejoin.ts";
import { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import { fullAtStart, isStorageFull } from "../store/damage.ts";
import { lockDataFolder } from "../store/lock.ts";
import type { Tailnet } from "../tailnet/index.ts";
import { Callers } from "./listeners/callers.ts";
import { findCallers } from "./listeners/find-callers.ts";
import { OpenListeners } from "./listeners/open-listeners.ts";
import { type PolicyWatch, watchPolicy } from "./listeners/policy-watch.ts";
import { openProduct } from "./product.ts";
import { Announcer } from "./report/announcer.ts";
import type { NodeEvent } from "./report/events.ts";
import { type ServiceManager, serviceManager } from "./report/service-manager.ts";
import { allUrls } from "./report/urls.ts";
import { loadGoHalf } from "./tailnet/go-half.ts";
import { outboundBy } from "./tailnet/outbound.ts";
import { TailnetSession } from "./tailnet/tailnet-session.ts";
import { newSecret, upParams } from "./tailnet/up-params.ts";

/** A start may include the install of a whole store. */
const START_MS = 600_000;
/** Where the Go half ends, the log loses it too; this long the half may say why itself. */
const OTHERS_SPEAK_MS = 250;
/** What a node is started with. */
export interface StartOptions {
  loaded: Loaded;
  secrets: Secrets;
  env: Environment;
  /** Hears what people and scripts want to know; log lines go their own way. */
  report: (event: NodeEvent) => void;
  /** Port on 127.0.0.1 (0: any) for development and the conformance suite; refused on a real tailnet. */
  loopbackPort?: number | undefined;
  /** The control server is the test tailnet on this machine (native/TAILNET.md). */
  privateTailnet?: boolean;
  /** Serve the official MCP suite's fixtures on the loopback port, and join no tailnet. */
  conformance?: boolean;
  /** Another tailnet, for development and tests; the Go half is then loaded for the log alone. */
  tailnet?: (log: ReturnType<typeof logFor>) => Promise<Tailnet>;
  /** `direct`: a log without raft and Go half, for tests of what lies above it. */
  engine?: "raft" | "direct";
  /** The words that run this executable, for backups in a child; without them there are none. */
  command?: readonly string[];
  nowMs?: () => number;
}

/** A node that serves locally. */
export interface RunningNode {
  /** Drains and closes everything; resolves when nothing of the node is left. Safe to call twice. */
  stop(reason: string): Promise<void>;
  /** Reads the policy file again. */
  reload(): void;
  /** Resolves with the Fault that stopped the node, if it stops by itself; `stop` must still be called. */
  readonly failed: Promise<Fault>;
}

/** Starts a node. Resolves when it serves locally; the tailnet follows as events. Throws a Fault, with everything closed again. A member whose data do not fit together comes back as a new one. */
export async function startNode(options: StartOptions): Promise<RunningNode> {
  try {
    return await startOnce(options);
  } catch (error) {
    const { data } = options.loaded.settings;
    if (isStorageFull(error)) throw fullAtStart(data, error);
    if (!rejoinsAfter(data, error)) throw error;
    return startOnce(options);
  }
}

async function startOnce(options: StartOptions): Promise<RunningNode> {
  const { settings } = options.loaded;
  const log = logFor("node");
  const nowMs = options.nowMs ?? Date.now;
  const failed = Promise.withResolvers<Fault>();
  const logFailed = (reason: Fault): void => {
    rejoinsAfter(settings.data, reason);
    if (reason.code === "log_failed") setTimeout(failed.resolve, OTHERS_SPEAK_MS, reason);
    else failed.resolve(reason);
  };
  const engine = options.engine ?? "raft";
  const ownTailnet = options.conformance !== true && options.tailnet === undefined;
  const closers = createClosers();
  const closeAll = () => closers.closeAll((name, error) => log("error", `closing ${name}: ${reasonOf(error)}`));
  refuseUnsafeModes(options);

  try {
    // 1. Nothing is written before this, so nothing can be readable by others.
    process.umask(0o077);
    for (const warning of options.loaded.warnings) log("warning", warning);

    // 2. The data folder is ours alone: its rights, then its lock.
    ensurePrivateFolder(settings.data);
    refuseBrokenRestore(settings.data);
    const lock = lockDataFolder(settings.data);
    closers.add("data lock", () => lock.release());
    refuseBrokenRecovery(settings.data);
    const plan = ownTailnet ? planFleet(options.loaded, options.secrets, nowMs) : undefined;
    const say = (text: string): void => options.report({ event: "fleet", text });
    for (const line of plan?.lines ?? []) say(line);
    refuseLostStore(settings.data);

    // 3. The sockets' folder, and the Go half, which loads beside what follows; it ends after the log.
    const paths = socketPaths(settings.data, options.env);
    const { mode, gid } = prepareSockets(paths, settings["cli.group"]);
    closers.add("sockets", () => rmSync(paths.folder, { recursive: true, force: true }));
    const half =
      engine === "raft" || ownTailnet
        ? loadGoHalf({
            settings,
            runtimeDir: paths.internal,
            log: logFor("tailnet"),
            closers,
            onFatal: failed.resolve,
          })
        : undefined;

    // 4. The product: store, log, gate, operations, surfaces.
    const conditions = new Conditions(logFor("condition"), nowMs, ALL_CONDITIONS);
    let joined: TailnetSession | undefined;
    let serving = false;
    let draining = false;
    let localUrl: string | null = null;
    let tailnet: Tailnet | undefined;
    let manager: ServiceManager | undefined;
    /** The loopback engine has a name and an address too, and nobody gets there. */
    const reachable = () => (tailnet?.kind === "loopback" ? undefined : joined?.status());
    let known: { tailnet: Tailnet; callers: Callers } | undefined;
    const egressSecret = newSecret();
    let running: RunningMember | undefined;
    const product = openProduct({
      settings,
      fleet: () => running?.fleet,
      edge: plan?.kind === "edge" ? { knownMembers: plan.file?.members ?? [] } : undefined,
      findCallers: findCallers(() => known),
      conditions,
      engine,
      conformance: options.conformance === true,
      closers,
      nowMs,
      facts: {
        engine: () => tailnet?.kind,
        tailnet: () => joined?.status(),
        urls: () => allUrls(serving ? reachable() : undefined, localUrl),
        startedMs: nowMs(),
      },
      host: {
        secrets: options.secrets,
        env: options.env,
        command: options.command,
        outbound: outboundBy(join(paths.internal, "egress.sock"), egressSecret),
      },
      serving: () => serving && !draining,
      onFatal: logFailed,
    });

    // 5. The policy file, if there is one: without it the node would serve under other rights than were meant.
    const dropAll = (): void => {
      product.callersChanged();
      tailnet
        ?.drop()
        .catch((error: unknown) => log("warning", `cannot close connections after a policy change: ${String(error)}`));
    };
    const policyFile = settings["access.policy_file"];
    let policy: PolicyWatch | undefined;
    if (policyFile !== undefined) {
      policy = watchPolicy({
        path: policyFile,
        capability: settings["access.capability"],
        access: product.access,
        conditions,
        onChange: dropAll,
      });
      closers.add("policy file", () => policy?.stop());
    }

    // 6. The member of the replicated log: a fleet of one orders writes when this is done.
    const socketPath = join(paths.internal, "raft.sock");
    if (product.raft !== undefined && half !== undefined && plan?.joinTarget === undefined) {
      const starting = startEngine({
        log: product.raft,
        plan: planEngine(settings.data, product.store.reader),
        host: await half,
        dataDir: settings.data,
        socketPath,
        profile: profileOf(product.store, settings.fleet_profile),
        members: raftMembersOf(
          product.members.list().length === 0 ? (plan?.file?.members ?? []) : product.members.list(),
        ),
        signal: AbortSignal.timeout(START_MS),
      });
      // An entry that cannot be applied shows only now, when the log is read again.
      await Promise.race([starting, failed.promise.then((reason) => Promise.reject(reason))]);
    }

    // 7. The doors: local socket and loopback where it is allowed; the tailnet's open with it.
    const listeners = new OpenListeners({ settings, surfaces: product, draining: () => draining });
    closers.add("listeners", () => listeners.stop());
    listeners.local(paths.cairn, { mode, gid });
    if (options.loopbackPort !== undefined) localUrl = listeners.loopback(options.loopbackPort);

    // 8. The tailnet. From here on the node is up; who can reach it depends on logins, keys and networks, and may change at any time.
    const announcer = new Announcer({
      loaded: options.loaded,
      report: options.report,
      conditions,
      socket: paths.cairn,
      localUrl,
      reachable,
      serving: () => serving,
      loginUrl: () => joined?.loginUrl(),
      manager: () => manager,
    });
    closers.add("ready timer", () => announcer.stop());

    if (options.conformance === true) {
      serving = true;
      announcer.ready();
    } else {
      const going = await (options.tailnet?.(logFor("tailnet")) ?? half);
      if (going === undefined) throw new Error("a node without a tailnet");
      tailnet = going;
      if (!ownTailnet) closers.add("tailnet", () => going.close());
      manager = serviceManager({
        env: options.env,
        notify: (socket, state) => going.notify(socket, state),
        log: logFor("service"),
      });
      const ingressSecret = newSecret();
      const callers = new Callers({
        grants: (hash) => going.grants(hash),
        problems: (caller) => product.access.rights(caller).problems,
        conditions,
      });
      known = { tailnet: going, callers };
      const peerSocket = join(paths.internal, "peer.sock");
      listeners.ingress({ everyone: paths.ingress, peers: peerSocket }, ingressSecret, callers, product.peers.server);
      product.peers.connect({
        tailnet: going,
        callers,
        egress: join(paths.internal, "egress.sock"),
        secret: egressSecret,
      });
      going.on("revoked", (ids, connections) => {
        log("info", `rights changed: ${connections} connections of ${ids.length} callers were closed`);
        product.callersChanged(ids);
      });
      const part = { loaded: options.loaded, tailnet: going, conditions, say, nowMs, startedMs: nowMs() };
      const status = () => joined?.status();
      if (plan !== undefined && product.edge !== undefined) {
        const { edge: parts, peers: link } = product;
        running = openEdgeMember({ ...part, plan, status, parts, link, onFatal: failed.resolve });
      } else if (plan !== undefined && product.raft !== undefined && half !== undefined) {
        const parts = { ...product, log: product.raft };
        running = openFullMember({ ...part, plan, status, parts, host: await half, socketPath, onFatal: logFailed });
      }
      closers.add("fleet", () => running?.stop());
      joined = new TailnetSession({
        tailnet: going,
        params: upParams(options, { ingressSecret, egressSecret, target: paths.ingress, socketDir: paths.internal }),
        peers: { port: PEER_PORT, target: peerSocket },
        hasState: existsSync(join(settings.data, "tailnet", "tailscaled.state")),
        conditions,
        log: logFor("tailnet"),
        nowMs,
        onServing: (now) => {
          serving = true;
          running?.up();
          announcer.serving(now);
        },
        onWaiting: () => announcer.waiting(),
        onLoginUrl: (url) => announcer.login(url),
        onFatal: failed.resolve,
      });
      const session = joined;
      closers.add("tailnet session", () => session.stop());
      await session.up();
      // It serves on this machine; a login may take a person a day, and is no reason to call the start failed.
      manager.ready();
    }

    // 9. The end, in reverse: no new requests, streams told, running requests finished, then the log, the store, the Go half, the lock.
    let stopping: Promise<void> | undefined;
    const stop = async (reason: string): Promise<void> => {
      log("debug", `stopping: ${reason}`);
      options.report({ event: "stopping", reason });
      draining = true;
      await manager?.stopping();
      joined?.stop();
      await Promise.all([product.endStreams(), listeners.stop()]);
      await closeAll();
    };
    return {
      stop: (reason) => {
        stopping ??= stop(reason);
        return stopping;
      },
      reload: () => policy?.reload(),
      failed: failed.promise,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** A port of the host is opened only where no real tailnet is joined (security.md 16). */
function refuseUnsafeModes(options: StartOptions): void {
  if (options.privateTailnet === true) refuseRealControl(options.loaded.settings.control_url);
  if (
    options.loopbackPort !== undefined &&
    options.privateTailnet !== true &&
    options.conformance !== true &&
    options.tailnet === undefined
  ) {
    throw new Fault("config_invalid", "A loopback port is opened only with --conformance or --private-tailnet", {
      hint: "Agents on this machine use `cairn bridge`; agents elsewhere use the tailnet address.",
    });
  }
}
