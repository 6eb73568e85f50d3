// The manifest of a feature (docs/architecture.md 7). The rest of the product is derived from the manifests: schema,
// digests, forks, edges, subscriptions and the surfaces. architecture.md 7 lists the code that names a feature itself.

import type { SettingTable } from "../config/setting.ts";
import type { Change } from "../log/changes.ts";
import type { DigestTable } from "../log/digest.ts";
import type { Duty } from "../log/duties.ts";
import type { LatestChanges } from "../log/latest-changes.ts";
import type { AfterChanges } from "../log/log.ts";
import type { ConditionTable } from "../observe/conditions.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { PeerHandler } from "../peer/server.ts";
import type { Reader } from "../store/store.ts";
import type { AgentTable } from "./agents.ts";
import type { DeclaredKind } from "./declared-kind.ts";
import type { CallContext, Operation } from "./define.ts";
import type { Expiring } from "./expiring.ts";
import type { FeatureCommand } from "./feature-command.ts";
import type {
  FeatureInstructions,
  FeatureMcpEvents,
  FeaturePreset,
  FeaturePrompt,
  FeatureResources,
  ForeignBody,
} from "./mcp-parts.ts";
import type { OwnEventKind, OwnEventTable } from "./own-events.ts";
import type { FrameFacts, Page, Section, Visit } from "./page.ts";
import type { RestRoute } from "./rest-route.ts";
import type { SearchSource } from "./search-source.ts";
import type { ServedPaths } from "./served-route.ts";
import type { Services } from "./services.ts";
import type { ChangeRule, ChangeRules } from "./viewer.ts";

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
  /** Paths that it answers itself. */
  served?: ServedPaths;
  changes?: FeatureChanges;
  /** Resources of MCP. Clients may subscribe to them if the feature has `changes` too. */
  resources?: FeatureResources;
  prompts?: readonly FeaturePrompt[];
  /** MCP Events. Only one feature has it. */
  mcpEvents?: FeatureMcpEvents;
  /** An address of MCP of its own. */
  preset?: FeaturePreset;
  /** MCP offers its tools, prompts and resources only in the presets that name them, and not at `/mcp`. */
  apart?: true;
  /** A body of `POST /mcp` that is no message of MCP. */
  foreignBody?: ForeignBody;
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
  /** Kinds of declarations that it acts upon. */
  declares?: readonly DeclaredKind[];
  /** Rows that `search` finds. */
  searched?: readonly SearchSource[];
  /** Work of the leader alone, started each time this full member begins to lead. */
  duties?(node: Services): readonly Duty[];
  /** Paths of the peer port that a full member serves to other members. */
  // biome-ignore lint/suspicious/noExplicitAny: paths of every schema; the server parses before it calls
  peerPaths?(node: Services): Readonly<Record<string, PeerHandler<any>>>;
  /** Types of events about its changes. */
  events?: OwnEventTable;
  /** Returns what publishes the events of all features. Only one feature has it. */
  publishes?(kinds: ReadonlyMap<string, OwnEventKind>, rules: ChangeRules): AfterChanges;
  /** The agents of the fleet. Only one feature has them. */
  agents?: AgentTable;
  /** Background work of a full member, whether or not it leads. */
  jobs?(node: Services): readonly Job[];
  /** Registers its metrics on a full member. */
  metrics?(metrics: Metrics, node: Services): void;
  /** Compares its rows with the changes that made them, for `audit_verify`. */
  verify?: RowsCheck;
}

/**
 * Returns the first row that is not as the changes say, in words that name the change and nothing that only some
 * callers may see; undefined where there is none. Rows whose changes were removed by compaction are not judged.
 * `latest` has the changes up to the turn in which the check begins.
 */
export type RowsCheck = (
  reader: Reader,
  latest: LatestChanges,
  bounds: Pick<CallContext, "signal" | "spend">,
) => string | undefined | Promise<string | undefined>;

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
  /**
   * Reports whether an output is for all callers that may read the space. Others are neither cached nor shared.
   * Default: it is. That there is none is never taken as said to all.
   */
  isForAll?(output: Readonly<Record<string, unknown>>): boolean;
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
