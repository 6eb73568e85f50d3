// The rows of services, their look-up, and their state hashes.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { parseObject } from "../../lib/json-object.ts";
import { listed } from "../../lib/listed.ts";
import { levelOf } from "../../log/level.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { type Fence, fenceText, STARTS_SEGMENT } from "../../operation/fence.ts";
import type { Reader, Writer } from "../../store/store.ts";

/** The fleet level from which on there are services. */
export const SERVICE_LEVEL = 3;
/** Space of a service that declares none. */
export const DEFAULT_SPACE = "fleet";
/** Longest reason. */
export const MAX_REASON = 300;

/** What a copy of a service is. In all but `idle` its member may have a running program. */
export const SERVICE_STATES = ["idle", "starting", "ready", "stopping"] as const;
export type ServiceState = (typeof SERVICE_STATES)[number];

/** A row of `services` (schema.sql). */
export interface ServiceRow {
  name: string;
  copy: string;
  space: string;
  state: ServiceState;
  node: string;
  boot: string;
  n: number;
  fence_seq: number;
  term: number;
  revision: number;
  program: string;
  attempts: number;
  backoff_ms: number;
  lease_ms: number;
  since: number;
  ready_at: number;
  ready_node: string;
  failures: number;
  rounds: number;
  not_before: number;
  tried: string;
  next: string;
  pin: string;
  asked: "" | "move" | "restart";
  reason: string;
  seq: number;
}

/** A row of `service_nodes`. */
export interface NodeRow {
  node: string;
  name: string;
  boot: string;
  offers: string;
  seq: number;
}

/** A row of `drained_nodes`. */
export interface DrainRow {
  node: string;
  by: string;
  reason: string;
  since: number;
  seq: number;
}

/** Name of a service. */
export const serviceName = z
  .string()
  .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
  .describe("Name of the service, as in fleet/services/NAME.");
/** Space of a service. */
export const serviceSpace = z
  .string()
  .regex(DECLARED_SPACE, "is the name of a space")
  .optional()
  .describe("Space that the service declares (default fleet).");

/** Returns the spaces of a call about a service. */
export function spacesOfService({ space = DEFAULT_SPACE }: { space?: string | undefined }): string[] {
  return [space];
}

/** Reports whether the member of a copy may have a running program of it. */
export function isHeld({ state }: Pick<ServiceRow, "state">): boolean {
  return state !== "idle";
}

/** Returns the rows of all services, or of one. */
export function serviceRows(reader: Reader, name?: string): ServiceRow[] {
  if (levelOf(reader) < SERVICE_LEVEL) return [];
  if (name === undefined) return reader.all<ServiceRow>("SELECT * FROM services ORDER BY name, copy");
  return reader.all<ServiceRow>("SELECT * FROM services WHERE name = ? ORDER BY copy", name);
}

/** Returns the row of a copy. */
export function serviceRow(reader: Reader, name: string, copy: string): ServiceRow | undefined {
  if (levelOf(reader) < SERVICE_LEVEL) return undefined;
  return reader.get<ServiceRow>("SELECT * FROM services WHERE name = ? AND copy = ?", name, copy);
}

/** Returns what members agree to run. */
export function nodeRows(reader: Reader): NodeRow[] {
  if (levelOf(reader) < SERVICE_LEVEL) return [];
  return reader.all<NodeRow>("SELECT * FROM service_nodes ORDER BY node");
}

/** Returns the members that are to run nothing. */
export function drainRows(reader: Reader): DrainRow[] {
  if (levelOf(reader) < SERVICE_LEVEL) return [];
  return reader.all<DrainRow>("SELECT * FROM drained_nodes ORDER BY node");
}

/** In apply: writes the row of a copy. */
export function writeService(tx: Writer, row: ServiceRow): void {
  const columns = Object.keys(row);
  tx.run(
    `INSERT OR REPLACE INTO services (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(",")})`,
    ...(Object.values(row) as (string | number)[]),
  );
}

/** In apply: throws Fault `not_found` where no service of this name and space is declared. By the log alone. */
export function requireService(reader: Reader, name: string, space: string): void {
  const row = declaredRow(reader, serviceId(name));
  const declared = row === undefined || row.version === 0 ? undefined : parseObject(row.text);
  if (declared !== undefined && (declared["space"] ?? DEFAULT_SPACE) === space) return;
  throw new Fault("not_found", `There is no service ${JSON.stringify(name)} in the space ${JSON.stringify(space)}`, {
    hint: "service_list shows those that you may see, with their spaces. A new one is in force within seconds.",
  });
}

/** Returns the context that declares a service. */
export function serviceId(name: string): string {
  return `fleet/services/${name}`;
}

/** Returns the target of changes about a copy, in the space of its service. */
export function serviceTarget({ space, name, copy }: Pick<ServiceRow, "space" | "name" | "copy">): string {
  return `${space}/services/${name}${copy === "" ? "" : `/${copy}`}`;
}

/**
 * Returns the fence of the last start of a copy. Its name is not the target: a lease of that one, such as of the
 * context that declares a service, must not take the place of a start.
 */
export function fenceOfService(row: Pick<ServiceRow, "space" | "name" | "copy" | "n" | "fence_seq">): Fence {
  const { space, name, copy, n, fence_seq: seq } = row;
  return { name: `${space}/${STARTS_SEGMENT}/${name}${copy === "" ? "" : `/${copy}`}`, n, seq };
}

/** Returns the start of a copy as one text: another start has another one. */
export function startText(row: Pick<ServiceRow, "space" | "name" | "copy" | "n" | "fence_seq">): string {
  return fenceText(fenceOfService(row));
}

/** Returns the change of a copy; `row` undefined: it was removed. */
export function changeOfService(before: ServiceRow, outcome: string, row: ServiceRow | undefined): Changed {
  return { target: serviceTarget(before), version: 0, contentHash: "", outcome, state: hashOfService(row) };
}

/** Returns the state hash of a copy; undefined: it was removed. */
export function hashOfService(row: ServiceRow | undefined): string {
  if (row === undefined) return stateHash(["none"]);
  const { name, copy, state, node, boot, n, fence_seq: seq, term, revision, pin, asked } = row;
  return stateHash([name, copy, state, node, boot, n, seq, term, revision, pin, asked]);
}

/** Returns the state hash of what a member agrees to run. */
export function hashOfNode({ node, name, boot, offers }: NodeRow): string {
  return stateHash([node, name, boot, offers]);
}

/** Returns the state hash of a drain. */
export function hashOfDrain({ node, by, reason, since }: DrainRow): string {
  return stateHash([node, by, reason, since]);
}

/** Returns the member that a word names: its id, or else the name of one member alone. */
export function memberNamed<T extends { node: string; name: string }>(word: string, all: readonly T[]): T | undefined {
  const byId = all.find(({ node }) => node === word);
  if (byId !== undefined) return byId;
  const [found, ...more] = all.filter(({ name }) => name.toLowerCase() === word.toLowerCase());
  return more.length === 0 ? found : undefined;
}

/** Returns why a word names no member though it is the name of some; undefined: it is not the name of several. */
export function severalNamed(word: string, all: readonly { node: string; name: string }[]): string | undefined {
  if (memberNamed(word, all) !== undefined) return undefined;
  const ids = all.filter(({ name }) => name.toLowerCase() === word.toLowerCase()).map(({ node }) => node);
  return ids.length < 2 ? undefined : `is the name of several members: ${listed(ids)}`;
}

/** As `memberNamed`. Throws Fault `invalid_input` where a word is the name of several. */
export function oneNamed<T extends { node: string; name: string }>(
  word: string,
  all: readonly T[],
  field: string,
): T | undefined {
  const several = severalNamed(word, all);
  if (several === undefined) return memberNamed(word, all);
  throw new Fault("invalid_input", `${JSON.stringify(word)} ${several}`, {
    hint: "Give the id of one of them.",
    details: { field },
  });
}

/** Returns the services that a member agrees to run. */
export function offersOf({ offers }: Pick<NodeRow, "offers">): string[] {
  return JSON.parse(offers) as string[];
}
