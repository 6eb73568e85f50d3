// The table of health conditions, and the conditions that hold now on this node. `status`, /health and the log show
// these and no other warnings.

import { printableLine } from "../lib/printable.ts";
import type { LogLine } from "./logging.ts";
import { redactText } from "./redact.ts";

/** `info` is no problem, `warning` needs attention, `error` makes the node unhealthy. */
export type Severity = "info" | "warning" | "error";

/** One row of a table of conditions. */
export interface ConditionKind {
  title: string;
  severity: Severity;
  /** What to do about it. */
  hint: string;
}

/** Conditions by code. */
export type ConditionTable = Readonly<Record<string, ConditionKind>>;

/** Conditions of the node itself, by code; features add theirs in their manifests. */
export const CONDITIONS = {
  starting: { title: "Starting", severity: "info", hint: "Wait until the node has joined its tailnet." },
  needs_login: {
    title: "Login needed",
    severity: "warning",
    hint: "Open the login URL in a browser, or restart with TS_AUTHKEY.",
  },
  needs_approval: {
    title: "Waiting for approval",
    severity: "warning",
    hint: "Approve this machine in the tailnet's admin console.",
  },
  auth_key_refused: {
    title: "Auth key refused",
    severity: "warning",
    hint: "Set a new TS_AUTHKEY before the next login is needed.",
  },
  control_unreachable: {
    title: "Control server unreachable",
    severity: "warning",
    hint: "Check this machine's network; known peers are still served, and cairn keeps trying.",
  },
  key_expires_soon: {
    title: "Node key expires soon",
    severity: "warning",
    hint: "Log in again, disable key expiry for this node, or give it a tag.",
  },
  key_expired: {
    title: "Node key expired",
    severity: "error",
    hint: "Extend the key in the tailnet's admin console, and the node comes back by itself within a minute; or open the login URL in a browser. No restart is needed.",
  },
  removed_from_tailnet: {
    title: "Deleted from the tailnet",
    severity: "error",
    hint: "If that was not intended, open the login URL in a browser, or restart with a TS_AUTHKEY: the node comes back as a new device. A member of a fleet then says what becomes of its data. Otherwise stop the node.",
  },
  login_refused: {
    title: "Refused by the control server",
    severity: "error",
    hint: "The text is that of the control server: show it to the tailnet's admin. cairn keeps asking, and comes back by itself.",
  },
  tailnet_health: { title: "Tailnet health", severity: "warning", hint: "See the text, which Tailscale reports." },
  not_listening: {
    title: "Not listening on the tailnet",
    severity: "error",
    hint: "cairn keeps trying; if this lasts, restart the node.",
  },
  tailnet_stopped: { title: "Tailnet stopped", severity: "error", hint: "Restart the node." },
  no_quorum: {
    title: "No leader",
    severity: "error",
    hint: "Bring voters back until more than half of them reach each other; reads still work.",
  },
  lagging_follower: {
    title: "A member is behind",
    severity: "warning",
    hint: "Check its disk and its network path in `cairn status`; it catches up by itself once it can.",
  },
  flapping_leader: {
    title: "The leader changes often",
    severity: "warning",
    hint: "Check the fsync times and network paths of the voters; on slow links use the wan profile (`cairn call fleet_profile_set`).",
  },
  slow_fsync: {
    title: "Slow disk",
    severity: "warning",
    hint: "Every write waits for this disk: use a faster disk, or let a node with a faster disk vote instead.",
  },
  clock_jumped: {
    title: "Clock jumped",
    severity: "warning",
    hint: "Set the clock with NTP. Until the clock is confirmed, the log counts elapsed time: systemd-timesyncd or two other centrals confirm it, or ten minutes in a fleet with fewer than three centrals.",
  },
  clock_skew: {
    title: "Clocks differ",
    severity: "warning",
    hint: "Set the clock with NTP on the node that is wrong. A node that is off by more than 60 s does not lead.",
  },
  version_skew: {
    title: "Members run different versions",
    severity: "info",
    hint: "Update all members to the same version, the leader last.",
  },
  level_skew: {
    title: "Members support different fleet levels",
    severity: "warning",
    hint: "New commands are not used until every full member runs the newer version.",
  },
  build_too_old: {
    title: "A build is too old for its fleet",
    severity: "error",
    hint: "Update cairn on the member that the text names to the version that the leader runs. Until then it gets no copy of the store and applies nothing; what it holds is kept.",
  },
  fleet_settings_differ: {
    title: "A setting of this node is not the fleet's",
    severity: "warning",
    hint: "The fleet's value holds on every node. Change it with `cairn fleet settings NAME VALUE` on the leader, or take the setting away from this node and restart it.",
  },
  purge_pending: {
    title: "Purged texts are still on disks",
    severity: "warning",
    hint: "It passes by itself within seconds; start the members that are away, or destroy their disks.",
  },
  purge_in_backups: {
    title: "Backups hold purged texts",
    severity: "info",
    hint: "Delete those that must not hold them (bucket/NAME is in the bucket of backups); scheduled ones go by backup.keep.",
  },
  two_histories: {
    title: "Two histories",
    severity: "error",
    hint: "Where most full members agree, the others get a copy by themselves, and what they held is kept under aside/. Otherwise bring the missing members back.",
  },
  other_fleet_in_sight: {
    title: "Another fleet on this tailnet",
    severity: "info",
    hint: "Join it with the command shown, or give this node another --fleet name.",
  },
  waiting_for_fleet: {
    title: "Waiting for a fleet",
    severity: "warning",
    hint: "Start a node of this fleet, or start this node without --join to create a fleet.",
  },
  waiting_with_data: {
    title: "Waiting for its fleet, with data kept",
    severity: "error",
    hint: "Start the members that still have the fleet's data: this node comes back by itself. If no member can lead, all lost their logs at once: stop the member whose text names the highest position, run `cairn recover --accept-loss` on it and start it; then run `cairn join` on the others. Do not remove the folder named.",
  },
  waiting_for_approval: {
    title: "Waiting for approval by the fleet",
    severity: "warning",
    hint: "Run the command shown on the leader, or start this node with a ticket from `cairn ticket`.",
  },
  join_refused: {
    title: "The fleet refused this node",
    severity: "error",
    hint: "Fix what the text says, then start the node again.",
  },
  removed_from_fleet: {
    title: "No longer a member",
    severity: "error",
    hint: "To rejoin, run `cairn join` here with a new ticket, then restart. To start a fleet of its own, run `cairn leave` here, then start. Its data is kept under aside/.",
  },
  upstream_away: {
    title: "No full node reachable",
    severity: "warning",
    hint: "Check the network of this edge. Until a full node responds, it serves only what may be stale, and accepts no writes. Without the control server too, it serves nothing after access.max_stale.",
  },
  member_unreachable: {
    title: "A member is unreachable",
    severity: "warning",
    hint: "Check that it runs and that the tailnet policy allows ports 4747 and 4748 between the fleet's nodes. If it is gone for good, run `cairn members remove`.",
  },
  grant_invalid: {
    title: "Invalid grant",
    severity: "warning",
    hint: "Fix the grant in the tailnet policy; the text says what of it is ignored until then.",
  },
  disk_full: {
    title: "Disk full",
    severity: "error",
    hint: "Free space on the disk of the data folder. Until then writes are refused; reads still work.",
  },
  store_damaged: {
    title: "Store damaged",
    severity: "error",
    hint: "Stop the node, keep a copy of its data folder, then restore the last backup with `cairn restore`.",
  },
  traces_not_sent: {
    title: "Traces are not sent",
    severity: "warning",
    hint: "Check traces.url, traces.tailnet, traces.headers and outbound.allow, and the collector. Spans are dropped and counted meanwhile; nothing else waits for it.",
  },
  policy_invalid: {
    title: "Invalid policy file",
    severity: "error",
    hint: "Fix the file; until then the last valid policy stays in force.",
  },
  settings_invalid: {
    title: "Settings cannot be used",
    severity: "warning",
    hint: "Correct them and run `cairn reload`. The settings of before stay in force; a restart would refuse to start.",
  },
  restart_needed: {
    title: "Settings wait for a restart",
    severity: "info",
    hint: "Restart the node to put them in force.",
  },
} as const satisfies Record<string, ConditionKind>;

/** One of the codes of `CONDITIONS`. */
export type ConditionCode = keyof typeof CONDITIONS;

/** Who may see the text of a condition: who may read these spaces. Others see `plain`, which names nothing. */
export interface Within {
  spaces: Iterable<string>;
  plain: string;
}

/** Raises and clears the conditions of one table. */
export type ConditionsOf<Code extends string> = {
  raise(code: Code, text: string, within?: Within): void;
  clear(code: Code): void;
  has(code: Code): boolean;
};

/** A condition that holds now. */
export interface Condition {
  code: string;
  title: string;
  severity: Severity;
  text: string;
  hint: string;
  /** When it became true, RFC 3339. */
  since: string;
}

/** A condition with who may see its text; without spaces whoever may see the texts of a node. */
interface Held {
  shown: Condition;
  spaces: readonly string[];
  plain: string;
}

/** The conditions that hold now on one node. */
export class Conditions implements ConditionsOf<ConditionCode> {
  readonly #active = new Map<string, Held>();
  readonly #log: LogLine;
  readonly #now: () => number;
  readonly #table: ConditionTable;

  /** `table` has every condition that may be raised (`conditionsOf` in operation/derive.ts). */
  constructor(log: LogLine, now: () => number = Date.now, table: ConditionTable = CONDITIONS) {
    this.#log = log;
    this.#now = now;
    this.#table = table;
  }

  /** Returns the part of these conditions that a feature's table defines. */
  of<T extends ConditionTable>(_table: T): ConditionsOf<keyof T & string> {
    return {
      raise: (code, text, within) => this.#raise(code, text, within),
      clear: (code) => this.#clear(code),
      has: (code) => this.#active.has(code),
    };
  }

  /**
   * Makes a condition true, or changes its text. Logs a condition that became true, and a text that changed by more
   * than its numbers: a text such as "off by 9 s" may change every second.
   */
  raise(code: ConditionCode, text: string, within?: Within): void {
    this.#raise(code, text, within);
  }

  /** Ends a condition. Does nothing if it does not hold. */
  clear(code: ConditionCode): void {
    this.#clear(code);
  }

  has(code: string): boolean {
    return this.#active.has(code);
  }

  #raise(code: string, text: string, within: Within = { spaces: [], plain: "" }): void {
    const clean = printableLine(redactText(text)).slice(0, 500);
    const before = this.#active.get(code)?.shown;
    const { title, severity, hint } = this.#kindOf(code);
    const since = before?.since ?? new Date(this.#now()).toISOString();
    const shown = { code, title, severity, text: clean, hint, since };
    this.#active.set(code, { shown, spaces: [...new Set(within.spaces)], plain: within.plain });
    if (before === undefined || withoutNumbers(before.text) !== withoutNumbers(clean))
      this.#log(levelOf({ severity }), `${title}: ${clean}`, { condition: code, hint });
  }

  #clear(code: string): void {
    if (!this.#active.delete(code)) return;
    const kind = this.#kindOf(code);
    const level = levelOf(kind) === "debug" ? "debug" : "info";
    this.#log(level, `${kind.title}: resolved`, { condition: code });
  }

  #kindOf(code: string): ConditionKind {
    const kind = this.#table[code];
    if (kind === undefined) throw new Error(`${code} is not a condition of this node`);
    return kind;
  }

  /** Returns the state of the whole node, by its worst condition: `failing` if there is an error. */
  overall(): "ok" | "warning" | "failing" {
    const worst = this.list()[0]?.severity;
    return worst === "error" ? "failing" : worst === "warning" ? "warning" : "ok";
  }

  /** Returns the conditions that hold now, the worst first, for whom `reads` says may read a space. */
  list(reads: (space: string) => boolean = () => true): Condition[] {
    const rank = { error: 0, warning: 1, info: 2 };
    return [...this.#active.values()]
      .map(({ shown, spaces, plain }) => (spaces.every(reads) ? shown : { ...shown, text: plain }))
      .sort((a, b) => rank[a.severity] - rank[b.severity] || a.code.localeCompare(b.code));
  }
}

/** Replaces separate numbers by 0. Digits in names and addresses stay, because they mean another machine. */
function withoutNumbers(text: string): string {
  return text.replaceAll(/(?<![\w.-])\d+(\.\d+)?(?![\w.-])/g, "0");
}

/** Returns the level of the log line. An `info` condition is no problem: the start and `status` show it already. */
function levelOf({ severity }: Pick<ConditionKind, "severity">): "debug" | "warning" | "error" {
  return severity === "info" ? "debug" : severity;
}
