// The first row of a fleet of one: written while it leads and nobody else is a member, and given another device where the tailnet state was lost. Finds out that a folder is a copy.

import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import { fleetBegin, type Member, type Members } from "../fleet/index.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import type { LogLine } from "../observe/logging.ts";
import type { WriteOperation } from "../operation/define.ts";

export interface FounderRegistrationOptions {
  settings: Settings;
  members: Members;
  log: Log;
  /** StableNodeID; "" while it is not known. */
  self: () => string;
  name: () => string;
  /** Id of its raft server; "" until it runs. */
  server: () => string;
  propose: (operation: WriteOperation, input: unknown) => Promise<unknown>;
  /** Another device has this server id: the folder is a copy. */
  onCopied: (member: Member) => void;
  line: LogLine;
}

export class FounderRegistration {
  readonly #options: FounderRegistrationOptions;
  #writing = false;

  constructor(options: FounderRegistrationOptions) {
    this.#options = options;
  }

  /** Writes it where it is missing or wrong; called whenever that may have changed, and cheap where it has not. */
  async register(): Promise<void> {
    const { members, log, settings, line, onCopied, propose } = this.#options;
    const node = this.#options.self();
    const { leading, server } = log.leadership();
    if (this.#writing || node === "") return;
    // Edges hold nothing: beside them the only full member is as alone as without.
    const full = members.list().filter((member) => member.server !== "");
    const own = full.find((member) => member.server === this.#options.server());
    if (own !== undefined && own.node !== node && full.length > 1) return onCopied(own);
    if (!leading || full.length > 1 || (own?.node === node && own.server === server)) return;
    this.#writing = true;
    try {
      await propose(fleetBegin, {
        fleet: settings.fleet,
        profile: settings.fleet_profile,
        node,
        server,
        name: this.#options.name(),
        version: buildInfo.version,
        level: KNOWN_LEVEL,
      });
      members.refresh();
    } catch (error) {
      line("warning", `the fleet's first row: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#writing = false;
    }
  }
}
