// The one shape of a feature (docs/architecture.md 7): a manifest from which the rest of the product is derived. Schema,
// digests, forks, edges, subscriptions and every surface read manifests and never know a feature by its name.

import type { SettingTable } from "../config/setting.ts";
import type { Change } from "../log/changes.ts";
import type { DigestTable } from "../log/digest.ts";
import type { Duty } from "../log/duties.ts";
import type { ConditionTable } from "../observe/conditions.ts";
import type { PeerHandler } from "../peer/server.ts";
import type { Operation } from "./define.ts";
import type { FeatureCommand } from "./feature-command.ts";
import type { FeatureInstructions, FeaturePrompt, FeatureResources } from "./mcp-parts.ts";
import type { FrameFacts, Page, Section, Visit } from "./page.ts";
import type { RestRoute } from "./rest-route.ts";
import type { Services } from "./services.ts";

/** Everything that a feature brings. Names, migration ids and tables are unique over all features. */
export interface Feature {
  name: string;
  /** Steps of the store's schema; ids count over all features in the order of their release. */
  migrations?: readonly FeatureMigration[];
  /** Every table that the migrations make. */
  tables?: readonly FeatureTable[];
  /** Provides this feature's own parts of a full member; called once, before its operations. */
  open?(node: Services): void;
  /** The operations over a node. They look for its parts only when they run, so that pages and tools can list them without one. */
  operations?(node: Services): readonly Operation[];
  /** Settings of a node, by dotted name. */
  settings?: SettingTable;
  /** Health conditions that it raises, by code. */
  conditions?: ConditionTable;
  /** Commands that people type, each a call of one operation. */
  commands?: readonly FeatureCommand[];
  /** Routes shaped for HTTP, beside the `POST /operations/{name}` that every operation has. */
  rest?: readonly RestRoute[];
  changes?: FeatureChanges;
  /** What has a URI in MCP. Clients may subscribe to it where the feature has `changes` too. */
  resources?: FeatureResources;
  prompts?: readonly FeaturePrompt[];
  /** How models use the feature well. */
  instructions?: FeatureInstructions;
  /** Pages under `/ui/`, and parts of the overview at `/`. */
  pages?: readonly Page[];
  sections?: readonly Section[];
  /** CSS of classes that only they use. All pages have one style: this is added to it. */
  style?: string;
  /** What every page shows of the node; of one feature only. */
  frame?(visit: Visit): Promise<FrameFacts>;
  /** Reads whose answers an edge may keep. */
  edge?: readonly EdgeRead[];
  /** What only the leader does, begun each time this node starts to lead. Full members only. */
  duties?(node: Services): readonly Duty[];
  /** Paths of the peer port that a full member answers for other members. */
  // biome-ignore lint/suspicious/noExplicitAny: paths of every schema; the server parses before it calls
  peerPaths?(node: Services): Readonly<Record<string, PeerHandler<any>>>;
  /** Types of the events that it publishes, `cairn.<noun>.<verb>`, each with what it says. */
  events?: Readonly<Record<string, string>>;
  /** What a full member does in the background, whoever leads. */
  jobs?(node: Services): readonly Job[];
}

/** One step of the schema, never changed after a release. */
export interface FeatureMigration {
  id: number;
  sql: string;
}

/** One table of a feature. */
export interface FeatureTable extends Pick<DigestTable, "decode"> {
  name: string;
  /** `replicated`: equal on every full member. `node`: this node's own, emptied in a copy for another member. */
  scope: "replicated" | "node";
  /** Selects the replicated rows in an order that the state alone decides; what it leaves out is no part of the digest. */
  sql?: string;
  /** What a new history does with the rows (restore, recover, promote --accept-loss). */
  fork: "keep" | "clear";
}

/** Which rows of the change feed are this feature's. Who may see one is decided by the space of its target. */
export interface FeatureChanges {
  /** Writes whose changes these are. */
  operations: readonly string[];
  /** The read that must be allowed for a caller to be told of a change. */
  readBy: string;
  /** Reports whether the change may have altered what a list of the feature shows. */
  altersList(change: Change): boolean;
  /**
   * The read that waits on the change feed, whichever feature wrote: takes `since`, `timeout_seconds`, and `id` or `prefix`
   * of targets; returns `changes` and `position`. One feature brings it.
   */
  waitedBy?: string;
}

/** A read that an edge may answer from what it keeps. Its entry is dropped by a change whose target is the entry's. */
export interface EdgeRead {
  /** Name of the read operation; it is defined with `kept: true`. */
  operation: string;
  /** The id that changes name as their target; undefined where this input must be asked upstream, such as an old version. */
  targetOf(input: Readonly<Record<string, unknown>>): string | undefined;
  /** What the edge asks its upstream for this target: one canonical form for all callers. */
  upstream(target: string): Record<string, unknown>;
  /** Turns the kept answer into the one that this input asks for. */
  shape(kept: Readonly<Record<string, unknown>>, input: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** Bytes of the kept answer, about. */
  bytesOf(kept: Readonly<Record<string, unknown>>): number;
  /** Reports whether a kept answer that was read back from disk is still the one that was written. */
  isIntact(kept: Readonly<Record<string, unknown>>): boolean;
}

/** Background work of a node. */
export interface Job {
  /** For the closing of the node and its messages. */
  name: string;
  start(): void;
  /** Ends it; resolves when no step is under way. It may be called again. */
  stop(): Promise<void> | void;
}
