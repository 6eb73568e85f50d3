// The manifest of a feature (docs/architecture.md 7). The rest of the product is derived from the manifests: schema,
// digests, forks, edges, subscriptions and the surfaces. architecture.md 7 lists the code that names a feature itself.

import type { SettingTable } from "../config/setting.ts";
import type { Change } from "../log/changes.ts";
import type { DigestTable } from "../log/digest.ts";
import type { Duty } from "../log/duties.ts";
import type { ConditionTable } from "../observe/conditions.ts";
import type { PeerHandler } from "../peer/server.ts";
import type { AgentTable } from "./agents.ts";
import type { Operation } from "./define.ts";
import type { Expiring } from "./expiring.ts";
import type { FeatureCommand } from "./feature-command.ts";
import type { FeatureInstructions, FeaturePrompt, FeatureResources } from "./mcp-parts.ts";
import type { FrameFacts, Page, Section, Visit } from "./page.ts";
import type { RestRoute } from "./rest-route.ts";
import type { Services } from "./services.ts";
import type { ChangeRule } from "./viewer.ts";

/** Everything that a feature adds. Names, migration ids and tables are unique over all features. */
export interface Feature {
  name: string;
  /**
   * Steps of the store's schema, for replicated tables and those of the node. Their ids are numbered over all features,
   * in the order of release.
   */
  migrations?: readonly FeatureMigration[];
  /** Every table that the migrations create. */
  tables?: readonly FeatureTable[];
  /** Provides this feature's own parts of a full member; called once, before its operations. */
  open?(node: Services): void;
  /**
   * Returns the operations. They look up the parts of the node only when they run, so they can be listed without one.
   */
  operations?(node: Services): readonly Operation[];
  /** Settings, by dotted name. */
  settings?: SettingTable;
  /** Health conditions that it raises, by code. */
  conditions?: ConditionTable;
  /** CLI commands, each a call of one operation. */
  commands?: readonly FeatureCommand[];
  /** HTTP routes, beside the `POST /operations/{name}` that every operation has. */
  rest?: readonly RestRoute[];
  changes?: FeatureChanges;
  /** Resources of MCP. Clients may subscribe to them if the feature has `changes` too. */
  resources?: FeatureResources;
  prompts?: readonly FeaturePrompt[];
  /** How models use the feature well. */
  instructions?: FeatureInstructions;
  /** Pages under `/ui/`, and parts of the overview at `/`. */
  pages?: readonly Page[];
  sections?: readonly Section[];
  /** CSS of classes that only they use. All pages have one style: this is added to it. */
  style?: string;
  /** Returns what every page shows of the node. Only one feature has it. */
  frame?(visit: Visit): Promise<FrameFacts>;
  /** Reads whose answers an edge may cache. */
  edge?: readonly EdgeRead[];
  /** Rows that disappear by log time; the leader proposes their commands, which are operations of the feature. */
  expires?: readonly Expiring[];
  /** Work of the leader alone, started each time this full member begins to lead. */
  duties?(node: Services): readonly Duty[];
  /** Paths of the peer port that a full member serves to other members. */
  // biome-ignore lint/suspicious/noExplicitAny: paths of every schema; the server parses before it calls
  peerPaths?(node: Services): Readonly<Record<string, PeerHandler<any>>>;
  /** Types of the events that it publishes, `cairn.<noun>.<verb>`, with their descriptions. */
  events?: Readonly<Record<string, string>>;
  /** The agents of the fleet. Only one feature has them. */
  agents?: AgentTable;
  /** Background work of a full member, whether or not it leads. */
  jobs?(node: Services): readonly Job[];
}

/** One step of the schema. Never changed after a release. */
export interface FeatureMigration {
  id: number;
  /**
   * The fleet level from which on stores have it: the command that raises the level runs it (replication.md 8). What
   * works below that level must not need it.
   */
  level: number;
  sql: string;
}

/** One table of a feature. */
export interface FeatureTable extends Pick<DigestTable, "decode"> {
  name: string;
  /** `replicated`: equal on every full member. `node`: of this node alone, and emptied in a copy for another member. */
  scope: "replicated" | "node";
  /** Selects the rows of the digest, in an order that depends on the state alone. Default: all rows. */
  sql?: string;
  /** Whether the rows are kept at the start of a new history (restore, recover, promote --accept-loss). */
  fork: "keep" | "clear";
}

/** Which rows of the change feed belong to this feature. The space of a row's target decides who may see it. */
export interface FeatureChanges {
  /** Writes whose changes these are. */
  operations: readonly string[];
  /** Callers that may use this read are notified of a change. */
  readBy: string;
  /**
   * Reports whether a viewer that may read the space of a change may see the change. Every reader of changes asks it,
   * and feeds of edges carry only what ANYONE may see. Left out: all may.
   */
  mayRead?: ChangeRule;
  /** Reports whether the change may have altered what a list of the feature shows. */
  altersList(change: Change): boolean;
  /**
   * The read that waits on the change feed of all features: takes `since`, `timeout_seconds`, and `id` or `prefix` of
   * targets; returns `changes` and `position`. Only one feature has it.
   */
  waitedBy?: string;
}

/** A read whose outputs an edge may cache, one for each target. A change of the target drops the cached output. */
export interface EdgeRead {
  /** Name of the read operation, which is defined with `cacheable: true`. */
  operation: string;
  /** Returns the target that changes name; undefined for an input that goes upstream, such as an old version. */
  targetOf(input: Readonly<Record<string, unknown>>): string | undefined;
  /** Returns the input with which the edge asks its upstream for a target: the same for all callers. */
  upstream(target: string): Record<string, unknown>;
  /** Reports whether an output may be cached. Default: it may. */
  mayKeep?(output: Readonly<Record<string, unknown>>): boolean;
  /** Returns the approximate size of a cached output in bytes. */
  bytesOf(cached: Readonly<Record<string, unknown>>): number;
  /** Reports whether a cached output that was read back from disk is the one that was written. */
  isIntact(cached: Readonly<Record<string, unknown>>): boolean;
}

/** Background work of a node. */
export interface Job {
  /** Its name in messages while the node stops. */
  name: string;
  start(): void;
  /** Ends it; resolves when no step is running. May be called again. */
  stop(): Promise<void> | void;
}
