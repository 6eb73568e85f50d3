// A core with declarations, a kind of them for tests, and what the node does with them.

import { z } from "zod";
import { contextFeature, ROW_CHECKS } from "../../src/features/context/index.ts";
import { declareFeature } from "../../src/features/declare/index.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { DECLARATIONS, DECLARED_KINDS, type DeclaredKind } from "../../src/operation/declared-kind.ts";
import { conditionsOf, operationsOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { CALL_AS, type FullMembers, LOG, NODE } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { type CoreOptions, startCore } from "./core.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";

/** A lamp that the fleet is to switch. */
export interface Lamp {
  watts: number;
  room: string;
}

/** Declarations of lamps; a name with `bomb` is forbidden. */
export const LAMP: DeclaredKind<Lamp> = {
  kind: "lamp",
  place: "lamps",
  summary: "a lamp",
  schema: z.strictObject({ watts: z.number().int().min(1).max(100), room: z.string().max(40).default("hall") }),
  example: { watts: 40 },
  problem: (_lamp, name) => (name.includes("bomb") ? "this is no lamp" : undefined),
};

/** What a test gives. */
export interface DeclarationsOptions extends CoreOptions {
  kinds?: readonly DeclaredKind[];
  /** Features beside contexts and declarations. */
  others?: readonly Feature[];
}

/** Starts a core whose node leads, with its declarations. */
export function startDeclarations({ kinds = [LAMP], others = [], ...options }: DeclarationsOptions = {}) {
  const features = [contextFeature, declareFeature, ...others];
  const services = new Services().provide(DECLARED_KINDS, kinds).provide(
    ROW_CHECKS,
    features.flatMap(({ verify }) => verify ?? []),
  );
  const operations = operationsOf(features, services);
  const core = startCore({ ...options, features, operations });
  const nowMs = options.nowMs ?? Date.now;
  const conditions = new Conditions(() => {}, nowMs, conditionsOf(features));
  services
    .provide(LOG, core.log)
    .provide(NODE, { settings: {} as never, store: core.store, conditions, limits: () => DEFAULT_WRITE_LIMITS, nowMs })
    .provide(CALL_AS, (call) => core.invoker.invoke(call));
  declareFeature.open?.(services);
  const jobs = declareFeature.jobs?.(services) ?? [];
  for (const job of jobs) job.start();
  let leading: AbortController | undefined;
  /** Begins a term of leadership, or ends it. */
  const lead = (isLeading: boolean) => {
    leading?.abort();
    leading = isLeading ? new AbortController() : undefined;
    const { signal } = leading ?? {};
    if (signal !== undefined) for (const duty of declareFeature.duties?.(services) ?? []) duty({ term: 1, signal });
  };
  lead(true);
  const declarations = services.get(DECLARATIONS);
  const declare = (name: string, content: unknown, more: object = {}) =>
    core.call("context_put", { id: `fleet/lamps/${name}`, content, ...more });
  return {
    ...core,
    ...{ services, conditions, declarations, declare, lead },
    /** The lamps in force, by name. */
    lamps: () =>
      Object.fromEntries(declarations.list(LAMP).map(({ name, version, value }) => [name, { version, ...value }])),
    conditionText: (code: string) => conditions.list().find((each) => each.code === code)?.text,
    [Symbol.asyncDispose]: async () => {
      leading?.abort();
      for (const job of jobs) await job.stop();
      await core[Symbol.asyncDispose]();
    },
  };
}

/** Members that reach no others. */
export function noPeers(): Pick<FullMembers, "followed" | "ask" | "open" | "openSocket" | "callerOf"> {
  const refuse = () => Promise.reject(new Error("no other member is reached here"));
  return { followed: () => undefined, ask: refuse, open: refuse, openSocket: refuse, callerOf: refuse };
}
