// The store, the log, the access check and the REST surface in one process without a network: the base of unit and
// contract tests.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Access, type AccessSettings } from "../../src/access/access.ts";
import type { Caller } from "../../src/access/caller.ts";
import type { Policy } from "../../src/access/policy-file.ts";
import { Refusals } from "../../src/access/refusals.ts";
import { type ApiOptions, createApi } from "../../src/api/index.ts";
import { contextFeature, ROW_CHECKS } from "../../src/features/context/index.ts";
import { AGENTS, FEATURES } from "../../src/features/index.ts";
import type { Fault } from "../../src/lib/fault.ts";
import type { TraceContext } from "../../src/lib/trace-context.ts";
import { DirectLog } from "../../src/log/engine/direct/index.ts";
import { CLIENT_LEVEL, levelOf } from "../../src/log/level.ts";
import type { Log } from "../../src/log/log.ts";
import { presetProblemOf } from "../../src/mcp/index.ts";
import type { Operation, WriteLimits } from "../../src/operation/define.ts";
import { changeRulesOf, operationsOf, ownEventsOf, schemaOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { type FleetSettings, fleetLimits } from "../../src/operation/fleet-settings.ts";
import { Invoker, type InvokerOptions } from "../../src/operation/invoke.ts";
import { REFUSALS } from "../../src/operation/node-parts.ts";
import { applierOf } from "../../src/operation/registry.ts";
import type { Routing } from "../../src/operation/routing.ts";
import { Services } from "../../src/operation/services.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { Store } from "../../src/store/store.ts";
import { DEFAULT_FLEET_SETTINGS, DEFAULT_WRITE_LIMITS } from "./limits.ts";

export const CAPABILITY = "cairn.internal/cap/cairn";

export function callerWith(caller: Partial<Caller> = {}): Caller {
  return {
    kind: "user",
    id: "nALICE",
    node: "laptop",
    login: "alice@example.com",
    tags: [],
    own: false,
    grants: [],
    ...caller,
  };
}

/** Returns a caller with these capability objects. */
export function granted(...grants: unknown[]): Caller {
  return callerWith({ grants });
}

export const localAdmin: Caller = callerWith({ kind: "local", id: "local", node: "local", login: "" });

export interface CoreOptions {
  folder?: string;
  /** A store and a log that are open already, and stay open; otherwise `direct` over a store of its own. */
  over?: { store: Store; log: Log };
  access?: Partial<AccessSettings>;
  policy?: Policy;
  operations?: readonly Operation[];
  /** The features of the node; contexts where left out. Its store has the tables of the build's features too. */
  features?: readonly Feature[];
  nowMs?: () => number;
  maxDocumentBytes?: number;
  /** Over the defaults; `maxDocumentBytes` above wins. */
  limits?: Partial<WriteLimits>;
  /** The settings of the node in place of `limits`: the limits are those of its fleet, once the log has some. */
  fleetSettings?: Partial<FleetSettings>;
  requestsPerMinute?: number;
  streamsPerCaller?: number;
  writesRefused?: () => Fault | undefined;
  /** The rest of a fleet, over this node's log. */
  routing?: (log: Log) => Routing;
  /** Wraps the log, for example for a leadership that comes and goes. */
  wrapLog?: (log: Log) => Log;
  onOutcome?: InvokerOptions["onOutcome"];
  /** Records spans of the calls. */
  tracer?: InvokerOptions["tracer"];
  onFailed?: InvokerOptions["onFailed"];
  /** The conditions of the node, for whom `reads` says may read a space; left out: none. */
  conditions?: readonly { text: string }[] | ((reads?: (space: string) => boolean) => readonly { text: string }[]);
  /** Callers that may see /.well-known/cairn without rights. */
  isCandidate?: ApiOptions["isCandidate"];
  /** Times of streams, shorter than the defaults. */
  streams?: ApiOptions["streams"];
  /** Bounds of its streams. */
  bounds?: { streams?: number; socketEvents?: number };
}

export function startCore(options: CoreOptions = {}) {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "cairn-core-"));
  const nowMs = options.nowMs ?? Date.now;
  const features = options.features ?? [contextFeature];
  const further = features.filter((feature) => !FEATURES.includes(feature) && feature.migrations !== undefined);
  const store =
    options.over?.store ??
    Store.open({ folder: join(folder, "store"), ...schemaOf([...FEATURES, ...further]), log: () => {} });
  const refusals = new Refusals({
    store,
    keepsClients: () => levelOf(store.reader) >= CLIENT_LEVEL,
    nowMs,
    onError: (error) => {
      throw error;
    },
  });
  const node = new Services().provide(REFUSALS, refusals).provide(
    ROW_CHECKS,
    features.flatMap(({ verify }) => verify ?? []),
  );
  const operations = options.operations ?? [...operationsOf(features, node), whoami];
  const fatal: unknown[] = [];
  const unexpected: unknown[] = [];
  const opened =
    options.over?.log ??
    new DirectLog({
      ...{ store, apply: applierOf(operations, AGENTS, ownEventsOf(features)), nowMs },
      onFatal: (error) => fatal.push(error),
    });
  const log = options.wrapLog?.(opened) ?? opened;
  const access = new Access(
    { capability: CAPABILITY, defaultRole: "none", admins: [], ...options.access },
    options.policy,
    presetProblemOf(features),
  );
  /** The traces in which they were. */
  const unexpectedIn: (TraceContext | undefined)[] = [];
  const onUnexpected = (error: unknown, _what?: string, trace?: TraceContext) => {
    unexpectedIn.push(trace);
    return `e${unexpected.push(error)}`;
  };
  const invoker = new Invoker({
    operations,
    store,
    log,
    access,
    agents: AGENTS,
    changeRules: changeRulesOf(features),
    nowMs,
    limits:
      options.fleetSettings === undefined
        ? () => ({
            ...DEFAULT_WRITE_LIMITS,
            ...options.limits,
            ...(options.maxDocumentBytes === undefined ? {} : { maxDocumentBytes: options.maxDocumentBytes }),
          })
        : fleetLimits(store.reader, { ...DEFAULT_FLEET_SETTINGS, ...options.fleetSettings }),
    callerLimits: {
      requestsPerMinute: options.requestsPerMinute ?? 0,
      streamsPerCaller: options.streamsPerCaller ?? 64,
    },
    ...(options.writesRefused === undefined ? {} : { writesRefused: options.writesRefused }),
    ...(options.routing === undefined ? {} : { routing: options.routing(log) }),
    onRefused: (refusal) => refusals.record(refusal),
    ...(options.onOutcome === undefined ? {} : { onOutcome: options.onOutcome }),
    tracer: options.tracer,
    ...(options.onFailed === undefined ? {} : { onFailed: options.onFailed }),
    onUnexpected,
  });
  const { conditions = [] } = options;
  const conditionsFor = typeof conditions === "function" ? conditions : () => conditions;
  const api = createApi({
    invoker,
    features,
    version: "0.0.0-test",
    health: (reads) => ({ ready: true, status: "ok", conditions: conditionsFor(reads) }),
    identity: () => ({
      fleetId: "f".repeat(32),
      fleet: "test",
      leader: "nLEADER",
      role: "central",
      surfaces: { rest: "/openapi.json" },
    }),
    ...(options.isCandidate === undefined ? {} : { isCandidate: options.isCandidate }),
    metrics: () => "# HELP cairn_build_info Always 1.\n",
    nowMs,
    onUnexpected,
    ...(options.streams === undefined ? {} : { streams: options.streams }),
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  });
  const call = async (operation: string, input: unknown, caller: Caller = localAdmin) =>
    (await invoker.invoke({ operation, input, caller, signal: new AbortController().signal })).output;
  const http = (path: string, init: RequestInit = {}, caller: Caller = localAdmin) =>
    api.fetch(new Request(`http://cairn${path}`, init), caller);
  const close = async () => {
    api.close();
    if (options.over === undefined) {
      log.changes.end();
      await log.close();
    }
    refusals.close();
    if (options.over === undefined) store.close();
  };
  return {
    folder,
    store,
    refusals,
    log,
    access,
    invoker,
    api,
    call,
    http,
    fatal,
    unexpected,
    unexpectedIn,
    close,
    [Symbol.asyncDispose]: async () => {
      await close();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export type Core = ReturnType<typeof startCore>;
