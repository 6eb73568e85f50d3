// What every phase of a start uses. Made before the first phase; the phases add what they open to `closers`.

import type { Loaded } from "../config/load.ts";
import { FEATURES } from "../features/index.ts";
import { type Closers, createClosers } from "../lib/closers.ts";
import { Conditions } from "../observe/conditions.ts";
import { type LogLine, logFor } from "../observe/logging.ts";
import { conditionsOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { NodeFailure } from "./node-failure.ts";
import { NodeState } from "./node-state.ts";
import type { StartOptions } from "./start-options.ts";

/** One start of a node. */
export interface StartContext {
  options: StartOptions;
  settings: Loaded["settings"];
  features: readonly Feature[];
  engine: "raft" | "direct";
  /** The node joins a tailnet of its own; not in development and conformance. */
  ownTailnet: boolean;
  log: LogLine;
  nowMs: () => number;
  conditions: Conditions;
  state: NodeState;
  failure: NodeFailure;
  closers: Closers;
}

/** Makes the context of a start; opens nothing. */
export function startContext(options: StartOptions): StartContext {
  const { settings } = options.loaded;
  const nowMs = options.nowMs ?? Date.now;
  const features = options.features ?? FEATURES;
  return {
    options,
    settings,
    features,
    engine: options.engine ?? "raft",
    ownTailnet: options.conformance !== true && options.tailnet === undefined,
    log: logFor("node"),
    nowMs,
    conditions: new Conditions(logFor("condition"), nowMs, conditionsOf(features)),
    state: new NodeState(nowMs()),
    failure: new NodeFailure(settings.data),
    closers: createClosers(),
  };
}
