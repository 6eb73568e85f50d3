// Writes the founder's row of a fleet of one: once this node leads and no other full member exists, and again when the
// node comes back under another device because its tailnet state was lost. Detects a copied data folder on the way.

import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import { fleetBegin, type Member, type Members } from "../fleet/index.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import type { LogLine } from "../observe/logging.ts";
import { ownFleetSettings } from "../operation/fleet-settings.ts";
import type { FleetState } from "./fleet-state.ts";
import type { OwnNode } from "./own-node.ts";

export interface FounderRegistrationOptions {
  settings: Settings;
  members: Members;
  log: Log;
  node: OwnNode;
  state: Pick<FleetState, "propose">;
  /** Id of this node's raft server; "" until it runs. */
  server: () => string;
  /** Called with the other device that has this server id: the data folder is a copy. */
  onCopied: (member: Member) => void;
  line: LogLine;
}

/** Keeps the founder's row right. */
export class FounderRegistration {
  readonly #options: FounderRegistrationOptions;
  #writing = false;

  constructor(options: FounderRegistrationOptions) {
    this.#options = options;
  }

  /**
   * Writes the row where it is missing or wrong. Call it whenever that may have changed; it is cheap where nothing has.
   */
  async register(): Promise<void> {
    const { members, log, line, onCopied } = this.#options;
    const node = this.#options.node.id();
    const { leading, server } = log.leadership();
    if (this.#writing || node === "") return;
    // Edges hold nothing: beside them the only full member is as alone as without them.
    const full = members.list().filter((member) => member.server !== "");
    const own = full.find((member) => member.server === this.#options.server());
    if (own !== undefined && own.node !== node && full.length > 1) return onCopied(own);
    if (!leading || full.length > 1 || (own?.node === node && own.server === server)) return;
    this.#writing = true;
    try {
      await this.#write(node, server);
      members.refresh();
    } catch (error) {
      line("warning", `writing the founder's row: ${reasonOf(error)}`);
    } finally {
      this.#writing = false;
    }
  }

  async #write(node: string, server: string): Promise<void> {
    const { settings, state } = this.#options;
    await state.propose(fleetBegin, {
      fleet: settings.fleet,
      profile: settings.fleet_profile,
      node,
      server,
      name: this.#options.node.name(),
      version: buildInfo.version,
      level: KNOWN_LEVEL,
      settings: ownFleetSettings(settings),
    });
  }
}
