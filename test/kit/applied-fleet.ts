// A store that commands of the fleet are applied to, without a log or a network.

import { expect } from "bun:test";
import { contextOperations } from "../../src/features/context/index.ts";
import { AGENTS, OWN_EVENTS, STORE_SCHEMA } from "../../src/features/index.ts";
import { drawSecret, fleetFeature, hashOf, PENDING } from "../../src/fleet/index.ts";
import { isFaultCode } from "../../src/lib/fault.ts";
import { applyEntry, type BatchState } from "../../src/log/apply-batch.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { openHistory } from "../../src/log/history.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import type { Command } from "../../src/log/log.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Services } from "../../src/operation/services.ts";
import { Store } from "../../src/store/store.ts";
import { makeStoreAt } from "./level.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";
import { temporaryFolder } from "./temporary.ts";

/** The writes of contexts and of the fleet. */
export const OPERATIONS = [
  ...contextOperations,
  ...operationsOf(
    [fleetFeature],
    new Services().provide(PENDING, () => []),
  ),
];

/** One store that commands are applied to, with a clock of its own. */
export class AppliedFleet {
  readonly folder = temporaryFolder();
  readonly commands: { stampMs: number; command: Command }[] = [];
  readonly store: Store;
  state: BatchState;
  nowMs = Date.parse("2026-01-01T00:00:00Z");

  /** With a level: the store is as a build of that level left it. */
  constructor(level?: number) {
    if (level !== undefined) makeStoreAt(this.folder, level);
    this.store = Store.open({ folder: this.folder, ...STORE_SCHEMA, log: () => {} });
    this.state = openHistory(this.store);
  }

  /** The outcome: the output, or the Fault. */
  run(name: string, input: Record<string, unknown>, caller = "local"): Record<string, unknown> {
    return this.runKeyed(name, input, "", caller);
  }

  /** The outcome of a write with an idempotency key. */
  runKeyed(name: string, input: Record<string, unknown>, key: string, caller = "local"): Record<string, unknown> {
    return this.#run(name, input, { key, caller });
  }

  /** The outcome of a write in an earlier version, which a log may hold. */
  runVersion(v: number, name: string, input: Record<string, unknown>): Record<string, unknown> {
    return this.#run(name, input, { v });
  }

  #run(
    name: string,
    input: Record<string, unknown>,
    { key = "", caller = "local", v }: { key?: string; caller?: string; v?: number },
  ): Record<string, unknown> {
    const operation = OPERATIONS.find((each) => each.name === name);
    if (operation?.kind !== "write") throw new Error(`no write ${name}`);
    const prepared = operation.prepare(operation.input.parse(input), DEFAULT_WRITE_LIMITS);
    const command = { name, v: v ?? operation.v, input: prepared, caller, via: "", key };
    this.commands.push({ stampMs: this.nowMs, command });
    const { state, outcomes } = applyOn(this.store, this.state, this.nowMs, [command]);
    this.state = { ...this.state, ...state };
    const outcome = outcomes[0];
    if (outcome === undefined) throw new Error("no outcome");
    if ("fault" in outcome) {
      expect(isFaultCode(outcome.fault.code)).toBe(true);
      expect(outcome.fault.hint).toBeString();
      return { fault: outcome.fault.code, ...outcome.fault.details };
    }
    return operation.output.parse(outcome.output);
  }

  get fleetId(): string {
    return this.store.reader.get<{ value: string }>("SELECT value FROM meta WHERE key = 'fleet_id'")?.value ?? "";
  }

  members(): string[] {
    return this.store.reader
      .all<{ text: string }>(
        "SELECT node || ' ' || server || ' ' || role || ' ' || state AS text FROM members ORDER BY node",
      )
      .map(({ text }) => text);
  }

  begin(node = "n1"): this {
    this.run("fleet_begin", {
      fleet: "home",
      profile: "home",
      node,
      server: "s1",
      name: "one",
      version: "1",
      level: KNOWN_LEVEL,
    });
    return this;
  }

  join(node: string, options: Record<string, unknown> = {}): Record<string, unknown> {
    return this.run("fleet_member_join", {
      fleet: this.fleetId,
      node,
      server: `s-${node}`,
      name: node,
      version: "1",
      level: KNOWN_LEVEL,
      granted: [],
      ...options,
    });
  }

  ticket(role: string, more: Record<string, unknown> = {}): string {
    const hash = hashOf(drawSecret());
    expect(this.run("fleet_ticket_create", { hash, role, ...more })).toMatchObject({ role, fleet_id: this.fleetId });
    return hash;
  }
}

/** Applies commands as one entry. */
export function applyOn(store: Store, state: AppliedFleet["state"], stampMs: number, commands: readonly Command[]) {
  const header = { level: KNOWN_LEVEL, origin: "0".repeat(32), ticket: 1, stampMs };
  return applyEntry(
    store,
    applierOf(OPERATIONS, AGENTS, OWN_EVENTS),
    state,
    encodeEntry(header, commands.map(packCommand)),
  );
}
