// The catalogue of health conditions, and what is true of this node now. Nothing else may invent a warning: `status`, /health and the log read this.

import { printableLine } from "../lib/printable.ts";
import type { LogLine } from "./logging.ts";
import { redactText } from "./redact.ts";

export type Severity = "info" | "warning" | "error";

/** What a condition means. */
export interface ConditionKind {
  title: string;
  severity: Severity;
  /** What to do about it. */
  hint: string;
}

/** Conditions by code. */
export type ConditionTable = Readonly<Record<string, ConditionKind>>;

/** The conditions of the node itself, by code; features add theirs by their manifests. */
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
    hint: "Set a fresh TS_AUTHKEY before the next login is needed.",
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
    hint: "Open the login URL in a browser; no restart is needed.",
  },
  tailnet_health: { title: "Tailnet health", severity: "warning", hint: "See the text; Tailscale reports it." },
  not_listening: {
    title: "Not listening on the tailnet",
    severity: "error",
    hint: "cairn keeps trying; if it lasts, restart the node.",
  },
  tailnet_stopped: { title: "Tailnet stopped", severity: "error", hint: "Restart the node." },
  no_quorum: {
    title: "No leader",
    severity: "error",
    hint: "Bring voters back until more than half of them see each other; reads go on meanwhile. See cairn promote --accept-loss where they are lost for good.",
  },
  lagging_follower: {
    title: "A member is behind",
    severity: "warning",
    hint: "See its disk and its network path in cairn status; it catches up by itself once it can.",
  },
  flapping_leader: {
    title: "The leader changes often",
    severity: "warning",
    hint: "Look at fsync times and paths of the voters; on slow links use the profile wan (cairn call fleet_profile_set).",
  },
  slow_fsync: {
    title: "Slow disk",
    severity: "warning",
    hint: "Every write waits for this disk: use a faster one, or let a node with a faster one vote.",
  },
  clock_jumped: {
    title: "Clock jumped",
    severity: "warning",
    hint: "Set the clock by NTP. If it is right now, restart the node; until then its log goes by the time that went by.",
  },
  clock_skew: {
    title: "Clocks differ",
    severity: "warning",
    hint: "Set the clock by NTP on the node that is off; more than 60 s off, it does not lead.",
  },
  version_skew: {
    title: "Members run different versions",
    severity: "info",
    hint: "Bring all members to one version, the leader last.",
  },
  level_skew: {
    title: "Members know different levels",
    severity: "warning",
    hint: "Newer commands wait until every full member runs the newer version.",
  },
  two_histories: {
    title: "Two histories",
    severity: "error",
    hint: "Keep the member whose data are right, and let the other join again with --discard-local.",
  },
  other_fleet_in_sight: {
    title: "Another fleet is in sight",
    severity: "info",
    hint: "Join it with the line shown, or give this node another --fleet name.",
  },
  waiting_for_fleet: {
    title: "Waiting for a fleet",
    severity: "warning",
    hint: "Start a node of this fleet, or start this one without --join to begin a fleet.",
  },
  waiting_for_approval: {
    title: "Waiting for approval by the fleet",
    severity: "warning",
    hint: "Run the line shown on the leader, or start this node with a ticket of cairn ticket.",
  },
  join_refused: {
    title: "The fleet refused this node",
    severity: "error",
    hint: "See the text; then start the node again.",
  },
  removed_from_fleet: {
    title: "No longer a member",
    severity: "error",
    hint: "To let it in again: a new ticket, cairn join here, then a restart. To begin a fleet of its own: cairn leave here, then a start. What it holds is kept under aside/.",
  },
  upstream_away: {
    title: "No full node in reach",
    severity: "warning",
    hint: "See the network of this edge; until a full node answers, it serves only what may be stale, and takes no writes.",
  },
  member_unreachable: {
    title: "A member is not reachable",
    severity: "warning",
    hint: "See whether it runs and whether the tailnet policy opens ports 4747 and 4748 between the fleet's nodes; remove it with cairn members remove if it is gone for good.",
  },
  grant_invalid: {
    title: "Invalid grant",
    severity: "warning",
    hint: "Mend the grant in the tailnet policy; until then it is worth nothing.",
  },
  disk_full: {
    title: "Disk full",
    severity: "error",
    hint: "Free space on the disk of the data folder; until then writes are refused and reads go on.",
  },
  store_damaged: {
    title: "Store damaged",
    severity: "error",
    hint: "Stop the node, keep a copy of its data folder, then restore the last backup with `cairn restore`.",
  },
  policy_invalid: {
    title: "Invalid policy file",
    severity: "error",
    hint: "Mend the file; until then the last valid policy stays in force.",
  },
} as const satisfies Record<string, ConditionKind>;

/** One of the codes of `CONDITIONS`. */
export type ConditionCode = keyof typeof CONDITIONS;

/** Raises and clears the conditions of one table. */
export type ConditionsOf<Code extends string> = {
  raise(code: Code, text: string): void;
  clear(code: Code): void;
  has(code: Code): boolean;
};

/** A condition that is true now. */
export interface Condition {
  code: string;
  title: string;
  severity: Severity;
  text: string;
  hint: string;
  /** RFC 3339, when it became true. */
  since: string;
}

/** The conditions of one node that hold now. */
export class Conditions implements ConditionsOf<ConditionCode> {
  readonly #active = new Map<string, Condition>();
  readonly #log: LogLine;
  readonly #now: () => number;
  readonly #table: ConditionTable;

  /** `table` has every condition that may be raised (`conditionsOf` of the features). */
  constructor(log: LogLine, now: () => number = Date.now, table: ConditionTable = CONDITIONS) {
    this.#log = log;
    this.#now = now;
    this.#table = table;
  }

  /** The conditions of a feature's table, under their own codes. */
  of<T extends ConditionTable>(_table: T): ConditionsOf<keyof T & string> {
    return {
      raise: (code, text) => this.#raise(code, text),
      clear: (code) => this.#clear(code),
      has: (code) => this.#active.has(code),
    };
  }

  /**
   * Makes a condition true, or changes its text. It is logged when it becomes true, or when its text changes by more
   * than numbers, which may count each second.
   */
  raise(code: ConditionCode, text: string): void {
    this.#raise(code, text);
  }

  /** Ends a condition; nothing happens if it is not true. */
  clear(code: ConditionCode): void {
    this.#clear(code);
  }

  has(code: string): boolean {
    return this.#active.has(code);
  }

  #raise(code: string, text: string): void {
    const clean = printableLine(redactText(text)).slice(0, 500);
    const before = this.#active.get(code);
    if (before?.text === clean) return;
    const kind = this.#kindOf(code);
    const since = before?.since ?? new Date(this.#now()).toISOString();
    this.#active.set(code, { code, title: kind.title, severity: kind.severity, text: clean, hint: kind.hint, since });
    if (before === undefined || withoutNumbers(before.text) !== withoutNumbers(clean))
      this.#log(levelOf(kind), `${kind.title}: ${clean}`, { condition: code, hint: kind.hint });
  }

  #clear(code: string): void {
    if (!this.#active.delete(code)) return;
    const kind = this.#kindOf(code);
    const level = levelOf(kind) === "debug" ? "debug" : "info";
    this.#log(level, `${kind.title}: over`, { condition: code });
  }

  #kindOf(code: string): ConditionKind {
    const kind = this.#table[code];
    if (kind === undefined) throw new Error(`${code} is no condition of this node`);
    return kind;
  }

  /** The whole node in one word: `failing` when something is an error. */
  overall(): "ok" | "warning" | "failing" {
    const worst = this.list()[0]?.severity;
    return worst === "error" ? "failing" : worst === "warning" ? "warning" : "ok";
  }

  /** What is true now, the worst first. */
  list(): Condition[] {
    const rank = { error: 0, warning: 1, info: 2 };
    return [...this.#active.values()].sort(
      (a, b) => rank[a.severity] - rank[b.severity] || a.code.localeCompare(b.code),
    );
  }
}

/** Without numbers that stand alone: digits of names and addresses mean somebody else. */
function withoutNumbers(text: string): string {
  return text.replaceAll(/(?<![\w.-])\d+(\.\d+)?(?![\w.-])/g, "0");
}

/** What is no trouble is told by the start's own lines and by `status`; in the log it is for those who look for details. */
function levelOf({ severity }: ConditionKind): "debug" | "warning" | "error" {
  return severity === "info" ? "debug" : severity;
}
