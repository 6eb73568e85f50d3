// Scans the tailnet for other fleets while this node is the only member of its own: at first after seconds, then once a
// minute. Raises a condition and prints the `cairn join` command; never joins by itself.

import { type SeenFleet, scanTailnet } from "../fleet/index.ts";
import { counted } from "../lib/counted.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { Peer } from "../tailnet/index.ts";
import type { PeerConnection } from "./peer-connection.ts";

export interface FleetScannerOptions {
  /** Reports whether this node is the only member of its fleet. */
  alone: () => boolean;
  /** Calls `listener` after each change of the members. Returns the function that ends it. */
  onMembers: (listener: () => void) => () => void;
  fleetId: () => string;
  link: PeerConnection;
  peers: () => Promise<readonly Peer[]>;
  conditions: Conditions;
  say: (line: string) => void;
  /** Time between two scans, in ms. */
  everyMs?: number;
}

const EVERY_MS = 60_000;
/**
 * Delays of the first scans, in ms, each after the one before: connections to other devices come up in the first
 * seconds.
 */
const FIRST_MS = [1_000, 3_000, 10_000];
const MAX_NAMED = 5;

export class FleetScanner {
  readonly #options: FleetScannerOptions;
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> = Promise.resolve();
  #copies = "";
  #said = "";
  #ends: (() => void) | undefined;

  constructor(options: FleetScannerOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#timer === undefined) this.#next(0);
    this.#ends ??= this.#options.onMembers(() => void this.#over());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#ends?.();
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Describes devices that have this fleet's id and are not members; "" if there are none. */
  copies(): string {
    return this.#copies;
  }

  async scan(): Promise<void> {
    const { fleetId, link, peers, conditions, say } = this.#options;
    if (this.#over()) return;
    const seen = await scanTailnet(link, await peers(), this.#stop.signal);
    // A fleet that was found may have been joined meanwhile.
    if (this.#over()) return;
    const copies = seen.filter(({ about }) => about.fleetId === fleetId());
    this.#copies = copies
      .map(({ name }) => `${name} has a fleet with this one's id: one of the two data folders is a copy of the other`)
      .join("; ");
    const others = seen.filter(({ about }) => about.fleetId !== fleetId());
    if (others.length === 0) return conditions.clear("other_fleet_in_sight");
    const text = seenFleetsText(others);
    conditions.raise("other_fleet_in_sight", text);
    if (text !== this.#said) say(text);
    this.#said = text;
  }

  /** Clears what was found, once this node is not alone. Returns true in that case. */
  #over(): boolean {
    const { alone, conditions } = this.#options;
    if (alone()) return false;
    this.#copies = "";
    conditions.clear("other_fleet_in_sight");
    return true;
  }

  #next(looks: number): void {
    const ms = FIRST_MS[looks] ?? this.#options.everyMs ?? EVERY_MS;
    this.#timer = setTimeout(() => {
      this.#looking = this.scan()
        .catch(() => {})
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#next(looks + 1);
        });
    }, ms);
    this.#timer.unref();
  }
}

/** Returns one entry for each fleet, with the member to join: its leader if it is visible. */
function seenFleetsText(seen: readonly SeenFleet[]): string {
  const fleets = new Map<string, SeenFleet[]>();
  for (const sighted of seen)
    fleets.set(sighted.about.fleetId, [...(fleets.get(sighted.about.fleetId) ?? []), sighted]);
  return [...fleets.values()]
    .slice(0, MAX_NAMED)
    .map((members) => {
      const host = members.find(({ node, about }) => node === about.leader) ?? members[0];
      const size = host?.about.size ?? 1;
      return (
        `The fleet ${host?.about.fleet} (${counted(size, "member")}) is on this tailnet: cairn ` +
        `join ${host?.name} --role regional joins it`
      );
    })
    .join("; ");
}
