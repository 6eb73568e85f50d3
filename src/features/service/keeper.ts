// The leader's duty: looks at declarations, rows and members, decides the next steps (decide.ts), and proposes them.
// It measures the leases of copies, and says which services run nowhere.

import { counted } from "../../lib/counted.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import { decided } from "../../operation/decided.ts";
import type { Declarations } from "../../operation/declared-kind.ts";
import type { HeldTerms } from "../../operation/held-terms.ts";
import type { MeasuredBy } from "../../operation/measured.ts";
import type { SeenMember } from "../../operation/surroundings.ts";
import type { Reader } from "../../store/store.ts";
import type { SeenNode } from "./candidates.ts";
import type { serviceConditions } from "./conditions.ts";
import { type Decision, decide, seenNode, type World } from "./decide.ts";
import { SERVICE } from "./declared.ts";
import { Demands } from "./demand.ts";
import { type Deploys, isDeploying } from "./deploying.ts";
import { MAX_AT_ONCE, MAX_NAME, serviceNote, serviceStep } from "./internal.ts";
import type { Remarks } from "./preparing.ts";
import {
  DEFAULT_SPACE,
  drainRows,
  isHeld,
  nodeRows,
  offersOf,
  SERVICE_LEVEL,
  serviceRow,
  serviceRows,
  startText,
} from "./rows.ts";

/** Between two looks, in ms. */
const LOOK_MS = 500;
/** A service that is not ready for so long is a condition, in ms. */
const DOWN_MS = 30_000;
/** A new leader does not know yet who is away: it starts nothing for so long, in ms. */
const SETTLE_MS = 3000;
const MAX_SAID = 480;

/** What the keeper needs of its node. */
export interface KeeperOptions {
  reader: Reader;
  log: () => Log;
  declarations: Declarations;
  leases: HeldTerms;
  remarks: Remarks;
  /** What probes measure; undefined: this node has none. */
  measured: () => MeasuredBy | undefined;
  /** Member id of this node. */
  self: () => string;
  /** The members as this node sees them. */
  members: () => Promise<readonly SeenMember[]>;
  /** Returns the members for services without primary, by id, the best one first. */
  rank: (labels: readonly string[], signal: AbortSignal) => Promise<readonly string[]>;
  conditions: ConditionsOf<keyof typeof serviceConditions>;
  deploys: Deploys;
  say: LogLine;
  /** By a clock that only goes forward, in ms. */
  monotonicMs: () => number;
}

/** Places services while its node leads. */
export class Keeper {
  readonly #options: KeeperOptions;
  /** Since when a member is there and not drained, by id. */
  readonly #thereSince = new Map<string, number>();
  /** Since when a copy is to run and is not ready; as many as there are copies. */
  readonly #downSince = new Map<string, number>();
  readonly #demands = new Demands();
  #leadsSinceMs = 0;
  #term = 0;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ term, signal }: Lead): void {
    this.#term = term;
    this.#options.leases.begin(signal);
    this.#thereSince.clear();
    this.#downSince.clear();
    this.#demands.clear();
    this.#leadsSinceMs = this.#options.monotonicMs();
    void this.#keep(signal);
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { reader, say, conditions } = this.#options;
    while (!signal.aborted) {
      try {
        if (levelOf(reader) >= SERVICE_LEVEL) {
          await this.look(signal);
          await this.#endDeploys(signal);
        }
      } catch (error) {
        if (!signal.aborted) say("warning", `services are placed later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
    conditions.clear("service_down");
    this.#options.deploys.clear();
  }

  /** A new leader waits as before a start: it does not know yet who is away. */
  async #endDeploys(signal: AbortSignal): Promise<void> {
    const { deploys, reader, remarks, declarations, monotonicMs } = this.#options;
    if (monotonicMs() - this.#leadsSinceMs < SETTLE_MS) return;
    remarks.keepOnly(serviceRows(reader));
    const services = declarations.list(SERVICE);
    deploys.tell(services);
    const open = services.filter(isDeploying);
    if (open.length === 0) return;
    const names = new Set(open.map(({ name }) => name));
    const world = await this.world(signal, (name) => names.has(name));
    const decisions = decide(world);
    const why = (name: string, copy: string) =>
      decisions.find((each) => each.name === name && each.copy === copy)?.why ?? "no member is known that could run it";
    await deploys.settle({ ...world, services: open, why }, signal);
  }

  /** Takes what the numbers say by which services are needed. */
  #follow(): void {
    const { declarations, reader, measured } = this.#options;
    const by = measured();
    this.#demands.follow(
      declarations.list(SERVICE),
      (probe) => by?.(probe) ?? { space: DEFAULT_SPACE, why: "this node has no probes" },
      (name) => serviceRows(reader, name).some(isHeld),
    );
  }

  /** Decides and proposes once. */
  async look(signal: AbortSignal): Promise<void> {
    const { leases } = this.#options;
    const rows = serviceRows(this.#options.reader);
    const isIdle = this.#options.declarations.list(SERVICE).length === 0 && rows.length === 0;
    if (isIdle && nodeRows(this.#options.reader).length === 0) {
      this.#options.conditions.clear("service_down");
      return;
    }
    this.#follow();
    const world = await this.world(signal);
    // From here to the proposals nothing waits: a renewal that comes meanwhile finds its lease over.
    const over = leases.look(
      serviceRows(this.#options.reader)
        .filter(isHeld)
        .map((row) => ({ key: startText(row), ttlMs: row.lease_ms })),
    );
    const decisions = decide({ ...world, isOver: (row) => over.has(startText(row)) });
    const isSettled = this.#options.monotonicMs() - this.#leadsSinceMs >= SETTLE_MS;
    const steps = decisions.flatMap(({ step }) => (step === undefined ? [] : [step]));
    const taken = steps.filter(({ to }) => to !== "starting" || isSettled);
    // The others with the next look: what is over now might be renewed until then.
    if (taken.length > 0) await this.#propose(taken.slice(0, MAX_AT_ONCE));
    this.#tell(decisions);
    await this.#noteMembers(world, signal);
  }

  /**
   * Returns what decisions depend on now, about all services or those of these names and spaces. No lease of it is
   * over. `isPlan`: with the order of members for services that run, as for those that do not.
   */
  async world(
    signal: AbortSignal,
    isWanted: (name: string, space: string) => boolean = () => true,
    { isPlan = false } = {},
  ): Promise<World> {
    const { reader, log, declarations, members, self, monotonicMs } = this.#options;
    const seen = await members();
    const drained = new Set(drainRows(reader).map(({ node }) => node));
    const nowMs = monotonicMs();
    const nodes = nodeRows(reader).flatMap((row): SeenNode[] => {
      // On no tailnet (`cairn dev`) the only member has no id.
      const member = seen.find(({ node, sleeps }) => !sleeps && (node || self()) === row.node);
      if (member === undefined) return [];
      const isThere = !member.away && !drained.has(row.node);
      if (!isThere) this.#thereSince.delete(row.node);
      else if (!this.#thereSince.has(row.node)) this.#thereSince.set(row.node, nowMs);
      const thereMs = isThere ? nowMs - (this.#thereSince.get(row.node) ?? nowMs) : 0;
      return [seenNode(row, member, { drained: drained.has(row.node), thereMs })];
    });
    const services = declarations.list(SERVICE).filter(({ name, value }) => isWanted(name, value.space));
    const wanted = new Set(services.map(({ name }) => name));
    const declared = new Set(declarations.list(SERVICE).map(({ name }) => name));
    const rows = serviceRows(reader).filter(({ name, space }) =>
      declared.has(name) ? wanted.has(name) : isWanted(name, space),
    );
    const ranks = await this.#ranks(services, { isPlan, signal });
    return {
      ...{ timeMs: log().timeMs(), term: this.#term, services, rows, nodes },
      isOver: () => false,
      demand: ({ name, value }) => this.#demands.of(name, value),
      remark: (row) => this.#options.remarks.of(row),
      rank: (service) => ranks.get(service.where) ?? [],
    };
  }

  /** The order is asked for only where something without primary runs nowhere, or somebody moves it. */
  async #ranks(
    services: World["services"],
    { isPlan, signal }: { isPlan: boolean; signal: AbortSignal },
  ): Promise<Map<string, readonly string[]>> {
    const { reader, rank } = this.#options;
    const open = services.filter(({ name, value }) => {
      const row = serviceRow(reader, name, "");
      return value.copies === "one" && (isPlan || row === undefined || !isHeld(row) || row.asked === "move");
    });
    const ranks = new Map<string, readonly string[]>();
    for (const { value } of open) {
      if (value.primary !== undefined || !value.enabled || ranks.has(value.where)) continue;
      const labels = value.where.startsWith("label:") ? [value.where.slice("label:".length)] : [];
      ranks.set(value.where, await rank(labels, signal).catch(() => []));
    }
    return ranks;
  }

  /** Ends of leases are noted before anything is waited for. What is unknown of the outcome is found out. */
  async #propose(steps: readonly NonNullable<Decision["step"]>[]): Promise<void> {
    const { leases, log, reader } = this.#options;
    const command = nodeCommand(serviceStep, { steps });
    const outcome = decided(log, command, () => leases.leading);
    for (const { name: service, copy, to } of steps) {
      const row = to === "idle" ? serviceRow(reader, service, copy) : undefined;
      if (row !== undefined) leases.end(startText(row), outcome);
    }
    await outcome;
  }

  /** Members that are none any more run nothing, and hold nothing that is not over; others may have another name. */
  async #noteMembers({ rows }: World, signal: AbortSignal): Promise<void> {
    const { reader, members, self, log } = this.#options;
    const seen = await members();
    if (seen.length === 0) return;
    const left = nodeRows(reader)
      .map(({ node }) => node)
      .filter((node) => !seen.some((member) => (member.node || self()) === node))
      .filter((node) => !rows.some((row) => isHeld(row) && row.node === node))
      .slice(0, MAX_AT_ONCE);
    const renamed = nodeRows(reader).flatMap(({ node, boot, name: before, ...row }) => {
      const name = seen.find((member) => (member.node || self()) === node && !member.away)?.name.slice(0, MAX_NAME);
      return name === undefined || name === before ? [] : [{ node, name, boot, services: offersOf(row) }];
    });
    signal.throwIfAborted();
    for (const offer of renamed) await log().propose(nodeCommand(serviceNote, { offer, said: [], left: [] }));
    if (left.length > 0) await log().propose(nodeCommand(serviceNote, { offer: null, said: [], left }));
  }

  #tell(decisions: readonly Decision[]): void {
    const { conditions, reader, declarations, monotonicMs } = this.#options;
    const enabled = declarations
      .list(SERVICE)
      .filter(({ name, value }) => value.enabled && this.#demands.of(name, value).isNeeded);
    const spaces = new Map(enabled.map(({ name, value }) => [name, value.space]));
    const nowMs = monotonicMs();
    const down = decisions.filter(
      ({ name, copy }) => spaces.has(name) && serviceRow(reader, name, copy)?.state !== "ready",
    );
    const keys = new Set(down.map(keyOf));
    for (const key of this.#downSince.keys()) if (!keys.has(key)) this.#downSince.delete(key);
    for (const key of keys) if (!this.#downSince.has(key)) this.#downSince.set(key, nowMs);
    const long = down.filter((each) => nowMs - (this.#downSince.get(keyOf(each)) ?? nowMs) >= DOWN_MS);
    if (long.length === 0) {
      conditions.clear("service_down");
      return;
    }
    const said = printableLine(long.map(({ name, why }) => `${name}: ${why}`).join("; "));
    const more = said.length > MAX_SAID ? `… (${long.length} in all)` : "";
    const verb = long.length === 1 ? "is" : "are";
    conditions.raise("service_down", `${said.slice(0, MAX_SAID)}${more}`, {
      spaces: long.map(({ name }) => spaces.get(name) ?? DEFAULT_SPACE),
      plain: `${counted(long.length, "service")} ${verb} ready nowhere`,
    });
  }
}

function keyOf({ name, copy }: { name: string; copy: string }): string {
  return `${name} ${copy}`;
}
