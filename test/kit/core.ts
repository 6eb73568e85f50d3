// The store, the log, the gate and the REST surface in one process without any network: what unit and contract tests drive.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Access, type AccessSettings } from "../../src/access/access.ts";
import type { Caller } from "../../src/access/caller.ts";
import type { Policy } from "../../src/access/policy-file.ts";
import { createApi } from "../../src/api/index.ts";
import { contextDelete, contextGet, contextList, contextPut, contextSchema } from "../../src/context/index.ts";
import { openDirectLog } from "../../src/log/direct.ts";
import { logSchema } from "../../src/log/index.ts";
import type { Operation } from "../../src/operation/define.ts";
import { applierOf, Invoker } from "../../src/operation/invoke.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { Store } from "../../src/store/store.ts";

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

/** A caller with these capability objects. */
export function granted(...grants: unknown[]): Caller {
  return callerWith({ grants });
}

export const localAdmin: Caller = callerWith({ kind: "local", id: "local", node: "local", login: "" });

export interface CoreOptions {
  folder?: string;
  access?: Partial<AccessSettings>;
  policy?: Policy;
  operations?: readonly Operation[];
  nowMs?: () => number;
  maxDocumentBytes?: number;
}

export function startCore(options: CoreOptions = {}) {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "cairn-core-"));
  const operations = options.operations ?? [contextPut, contextDelete, contextGet, contextList, whoami];
  const nowMs = options.nowMs ?? Date.now;
  const store = Store.open({
    folder: join(folder, "store"),
    migrations: [
      { id: 1, name: "log", sql: logSchema },
      { id: 2, name: "context", sql: contextSchema },
    ],
    log: () => {},
  });
  const fatal: unknown[] = [];
  const unexpected: unknown[] = [];
  const log = openDirectLog({ store, apply: applierOf(operations), nowMs, onFatal: (error) => fatal.push(error) });
  const access = new Access(
    { capability: CAPABILITY, defaultRole: "none", admins: [], ...options.access },
    options.policy,
  );
  const onUnexpected = (error: unknown) => `e${unexpected.push(error)}`;
  const invoker = new Invoker({
    operations,
    store,
    log,
    access,
    nowMs,
    limits: { maxDocumentBytes: options.maxDocumentBytes ?? 1024 * 1024 },
    onUnexpected,
  });
  const api = createApi({
    invoker,
    version: "0.0.0-test",
    health: () => ({ ready: true, status: "ok", conditions: [] }),
    nowMs,
    onUnexpected,
  });
  const call = async (operation: string, input: unknown, caller: Caller = localAdmin) =>
    (await invoker.invoke({ operation, input, caller, signal: new AbortController().signal })).output;
  const http = (path: string, init: RequestInit = {}, caller: Caller = localAdmin) =>
    api.fetch(new Request(`http://cairn${path}`, init), caller);
  return {
    folder,
    store,
    log,
    access,
    invoker,
    api,
    call,
    http,
    fatal,
    unexpected,
    close: async () => {
      await log.close();
      store.close();
    },
    [Symbol.asyncDispose]: async () => {
      await log.close();
      store.close();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export type Core = ReturnType<typeof startCore>;
