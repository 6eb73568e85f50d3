// What becomes of deploys, seen to by the leader: a version that was ready in time stays, and one that was not is taken
// back. Both are ordinary writes of the declaration, as the admin of this machine.

import { counted } from "../../lib/counted.ts";
import { isJsonObject } from "../../lib/json-value.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declaration } from "../../operation/declared-kind.ts";
import type { serviceConditions } from "./conditions.ts";
import type { World } from "./decide.ts";
import { hashOfProgram, MAX_DEPLOY_REASON, type ServiceShape } from "./declared.ts";
import { type ServiceRow, serviceId } from "./rows.ts";

/** After a write that failed the next one comes no sooner, in ms. */
const AGAIN_MS = 10_000;
const MAX_SAID = 480;
/** A version that was ready for so long stays, in ms: one without a check is ready as soon as it has started. */
const STEADY_MS = 5000;

/** What is known of services. */
export interface Seen extends Pick<World, "timeMs" | "rows" | "nodes" | "demand"> {
  services: readonly Declaration<ServiceShape>[];
  /** What the leader does about a copy, in words. */
  why: (name: string, copy: string) => string;
}

/** Reports whether a version of a service is neither confirmed nor taken back. */
export function isDeploying({ value: { deploy } }: Pick<Declaration<ServiceShape>, "value">): boolean {
  return deploy?.within !== undefined;
}

/** What a deploy came to; undefined: it is not known yet. */
export type DeployOutcome = { ready: true } | { failed: string } | undefined;

/** Returns what the deploy of a service came to. Pure. */
export function outcomeOf(
  { name, value, sinceMs }: Declaration<ServiceShape>,
  { timeMs, rows: all, nodes, demand, why }: Omit<Seen, "services">,
): DeployOutcome {
  const within = value.deploy?.within;
  // One that is not needed now is judged once it is.
  if (within === undefined || !value.enabled || !demand({ name, value }).isNeeded) return undefined;
  const isAway = ({ node }: ServiceRow) => nodes.find((each) => each.node === node)?.away === true;
  // A copy of a label on a member that is away gets the version when that is back.
  const rows = all.filter((row) => row.name === name && (value.copies === "one" || !isAway(row)));
  const program = hashOfProgram(value);
  const isReady = (row: ServiceRow) => row.state === "ready" && row.program === program;
  if (rows.length > 0 && rows.every(isReady))
    return rows.every((row) => timeMs - row.ready_at >= STEADY_MS) ? { ready: true } : undefined;
  const late = rows.find((row) => !isReady(row));
  const reason = why(name, late?.copy ?? "");
  // One that was not needed has its time from its start.
  const fromMs = value.while === undefined ? sinceMs : (late?.since ?? timeMs);
  if (timeMs - fromMs >= within * 1000) return { failed: `it was not ready within ${within} s: ${reason}` };
  // A new round begins once all members that could run it have failed.
  const isTried = rows.some((row) => row.program === program && row.rounds > 0);
  return isTried ? { failed: `all starts failed: ${reason}` } : undefined;
}

/** What the duty needs of its node. */
export interface DeployOptions {
  /** Calls an operation as the admin of this machine. */
  ask: (operation: string, input: Record<string, unknown>, signal: AbortSignal) => Promise<Record<string, unknown>>;
  conditions: ConditionsOf<keyof typeof serviceConditions>;
  say: LogLine;
  /** By a clock that only goes forward, in ms. */
  monotonicMs: () => number;
}

/** Ends deploys. */
export class Deploys {
  readonly #options: DeployOptions;
  /** When a write may be tried again, by name of the service; as many as there are services. */
  readonly #notBefore = new Map<string, number>();

  constructor(options: DeployOptions) {
    this.#options = options;
  }

  /** Ends the deploys that are over. */
  async settle(seen: Seen, signal: AbortSignal): Promise<void> {
    const { say, monotonicMs } = this.#options;
    const names = new Set(seen.services.map(({ name }) => name));
    for (const name of this.#notBefore.keys()) if (!names.has(name)) this.#notBefore.delete(name);
    for (const service of seen.services) {
      const outcome = outcomeOf(service, seen);
      const { name } = service;
      if (outcome === undefined || monotonicMs() < (this.#notBefore.get(name) ?? 0)) continue;
      this.#notBefore.set(name, monotonicMs() + AGAIN_MS);
      try {
        if (await this.#end(service, outcome, signal)) this.#notBefore.delete(name);
      } catch (error) {
        signal.throwIfAborted();
        say("warning", `the deploy of the service ${name} is ended later: ${reasonOf(error)}`);
      }
    }
  }

  /** Forgets what it has said: this node leads no more. */
  clear(): void {
    this.#options.conditions.clear("deploy_failed");
  }

  /** Returns false where a version is there that the leader has not judged yet. */
  async #end(
    { name, version, value }: Declaration<ServiceShape>,
    outcome: Exclude<DeployOutcome, undefined>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { ask, say } = this.#options;
    const id = serviceId(name);
    const newest = await ask("context_get", { id }, signal);
    if (newest["version"] !== version) return false;
    const { before = 0 } = value.deploy ?? {};
    const content =
      "ready" in outcome
        ? { ...objectOf(newest), deploy: { before } }
        : await this.#taken(id, before, newest, { version, reason: reasonText(outcome.failed) }, signal);
    await ask("context_put", { id, content, if_match: newest["etag"] }, signal);
    if ("failed" in outcome)
      say("warning", `the deploy of the service ${name} was taken back: ${outcome.failed}`, { version, before });
    return true;
  }

  /** Returns the declaration before the deploy; where there was none, this one, which runs nowhere. */
  async #taken(
    id: string,
    before: number,
    newest: Record<string, unknown>,
    failed: { version: number; reason: string },
    signal: AbortSignal,
  ): Promise<Record<string, unknown>> {
    if (before === 0) return { ...objectOf(newest), enabled: false, deploy: { before: 0, failed } };
    const old = objectOf(await this.#options.ask("context_get", { id, version: before }, signal));
    return { ...old, deploy: { before: beforeOf(old), failed } };
  }

  /** Says which deploys were taken back. */
  tell(services: readonly Declaration<ServiceShape>[]): void {
    const { conditions } = this.#options;
    const failed = services.flatMap(({ name, value: { deploy, space } }) =>
      deploy?.failed === undefined ? [] : [{ text: `${name}: ${deploy.failed.reason}`, space }],
    );
    if (failed.length === 0) {
      conditions.clear("deploy_failed");
      return;
    }
    conditions.raise("deploy_failed", printableLine(failed.map(({ text }) => text).join("; ")).slice(0, MAX_SAID), {
      spaces: failed.map(({ space }) => space),
      plain: `${counted(failed.length, "deploy")} of services failed`,
    });
  }
}

function reasonText(reason: string): string {
  return printableLine(reason).slice(0, MAX_DEPLOY_REASON);
}

/** Returns the object that a version of a declaration is. */
export function objectOf({ content }: Record<string, unknown>): Record<string, unknown> {
  return isJsonObject(content) ? content : {};
}

/** Returns the version that a declaration goes back to; 0: none. */
export function beforeOf({ deploy }: Record<string, unknown>): number {
  const before = isJsonObject(deploy) ? deploy["before"] : undefined;
  return typeof before === "number" ? before : 0;
}
