// The fleet of a full member as its own store, members table and log have it: which fleet, who leads, and this node's
// role in it.

import { join } from "node:path";
import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import {
  type About,
  type FleetRole,
  fleetValue,
  type Member,
  type Members,
  PROFILES,
  type Profile,
  readFleetFile,
  writeFleetFile,
} from "../fleet/index.ts";
import type { RaftLog } from "../log/engine/raft/index.ts";
import { fleetOf } from "../log/history.ts";
import { KNOWN_LEVEL, levelOf } from "../log/level.ts";
import type { WriteOperation } from "../operation/define.ts";
import type { Store } from "../store/store.ts";
import type { OwnNode } from "./own-node.ts";

export interface FleetStateOptions {
  settings: Settings & { readonly data: string };
  store: Store;
  log: Pick<RaftLog, "leadership" | "propose" | "server">;
  members: Members;
  node: OwnNode;
  /** The role in which this node starts (`plannedRole`). */
  role: FleetRole;
}

/** Reads the state of the fleet, and proposes commands about it. */
export class FleetState {
  readonly #options: FleetStateOptions;

  constructor(options: FleetStateOptions) {
    this.#options = options;
  }

  /** Reports whether this node orders writes. */
  leading(): boolean {
    return this.#options.log.leadership().leading;
  }

  /** Returns the leader, this node included; undefined while none is known. */
  leader(): Member | undefined {
    const { server } = this.#options.log.leadership();
    return server === "" ? undefined : this.#options.members.byServer(server);
  }

  /**
   * Returns this node's role by the members table: by its raft server while its device is not known yet, such as
   * while control is away. Without a row it is the role in which it started.
   */
  role(): FleetRole {
    const { members, node, log, role } = this.#options;
    const own = members.get(node.id()) ?? members.byServer(log.server());
    return own?.role ?? role;
  }

  /** Returns the level up to which commands may be proposed. */
  level(): number {
    return levelOf(this.#options.store.reader);
  }

  fleetId(): string {
    return fleetOf(this.#options.store.reader).fleet;
  }

  profile(): Profile {
    return profileOf(this.#options.store, this.#options.settings.fleet_profile);
  }

  /** Returns name, id, epoch and profile. The name is that of the settings before the fleet has begun. */
  fleet(): { fleet: string; fleetId: string; epoch: string; profile: Profile } {
    const { store, settings } = this.#options;
    const { fleet: fleetId, epoch } = fleetOf(store.reader);
    return { fleet: fleetValue(store.reader, "fleet_name") || settings.fleet, fleetId, epoch, profile: this.profile() };
  }

  /** Returns what candidates and other nodes may know of this fleet. */
  about(): About {
    const { members, node } = this.#options;
    const size = Math.max(1, members.list().length);
    const leader = this.leading() ? node.id() : (this.leader()?.node ?? "");
    return { ...this.fleet(), role: this.role(), leader, size, version: buildInfo.version, level: KNOWN_LEVEL };
  }

  /**
   * Writes fleet.json, for the member with this raft server, so that a start knows the members even if the store is
   * lost.
   */
  keepFile(server: string): void {
    const { settings, store, members } = this.#options;
    const own = members.byServer(server);
    const folder = join(settings.data, "raft");
    const list = [...members.list()];
    // A node that was always alone has no file; the last member of a fleet keeps the one it has.
    if (own === undefined || (list.length < 2 && readFleetFile(folder) === undefined)) return;
    const { fleet: fleetId, epoch } = fleetOf(store.reader);
    const fleet = fleetValue(store.reader, "fleet_name");
    const { role, node, spaces } = own;
    const profile = profileOf(store, "home");
    writeFleetFile(folder, { fleetId, epoch, fleet, profile, role, node, spaces: [...spaces], members: list });
  }

  /** Proposes a command of the fleet in a caller's name and returns its output. */
  async propose(operation: WriteOperation, input: unknown, caller = "node"): Promise<Record<string, unknown>> {
    const { name, v } = operation;
    const command = { name, v, input: operation.input.parse(input), caller, via: "", key: "" };
    return (await this.#options.log.propose(command)).output;
  }
}

/** Returns the fleet's timing profile as the store has it; before that the setting. */
export function profileOf({ reader }: Store, setting: Profile): Profile {
  const found = fleetValue(reader, "fleet_profile");
  return PROFILES.find((profile) => profile === found) ?? setting;
}
