// The members of the fleet, looked up by device or by raft server. Full members read the table of the log, edges keep
// the list that a full member sent.

import type { Changes } from "../log/changes.ts";
import type { Reader } from "../store/store.ts";
import { allMembers, fleetRevision, type Member } from "./rows.ts";

/** The current members of the fleet. */
export interface Members {
  /** Returns the member that is this device (StableNodeID). */
  get(node: string): Member | undefined;
  byServer(server: string): Member | undefined;
  /** Returns the members in the order in which they joined. */
  list(): readonly Member[];
  /** Calls `listener` after each change of the list. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
  /** Checks whether the list has changed: some changes are not in the feed. */
  refresh(): void;
}

/**
 * Reports whether a member may order writes, by the members table (security.md 8). What a node says of itself proves
 * nothing.
 */
export function mayLead(member: Pick<Member, "role"> | undefined): boolean {
  return member?.role === "central";
}

/** Lookups over a list from any source. */
class MemberList implements Members {
  #list: readonly Member[] = [];
  #byNode: ReadonlyMap<string, Member> = new Map();
  #byServer: ReadonlyMap<string, Member> = new Map();
  readonly #listeners = new Set<() => void>();

  get(node: string): Member | undefined {
    return this.#byNode.get(node);
  }
  byServer(server: string): Member | undefined {
    return this.#byServer.get(server);
  }
  list(): readonly Member[] {
    return this.#list;
  }
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  refresh(): void {}

  protected take(list: readonly Member[]): void {
    this.#list = list;
    this.#byNode = new Map(list.map((member) => [member.node, member]));
    this.#byServer = new Map(list.filter(({ server }) => server !== "").map((member) => [member.server, member]));
    for (const listener of [...this.#listeners]) listener();
  }
}

class StoredMembers extends MemberList {
  readonly #reader: Reader;
  readonly #changes: Changes;
  #seen = "";

  constructor(reader: Reader, changes: Changes) {
    super();
    this.#reader = reader;
    this.#changes = changes;
    this.refresh();
    changes.onApplied(() => this.refresh());
  }

  override refresh(): void {
    this.#read(this.#changes.head().epoch);
  }

  /** After each batch only one number is compared; the rows are read when it differs. */
  #read(epoch: string): void {
    const now = `${epoch} ${fleetRevision(this.#reader)}`;
    if (now === this.#seen) return;
    this.#seen = now;
    this.take(allMembers(this.#reader));
  }
}

/** The members as a full member sent them to an edge. */
export class KnownMembers extends MemberList {
  /** Replaces the list. */
  set(list: readonly Member[]): void {
    if (JSON.stringify(list) !== JSON.stringify(this.list())) this.take(list);
  }
}

/** Returns the members as the store of a full member has them. */
export function openMembers(reader: Reader, changes: Changes): Members {
  return new StoredMembers(reader, changes);
}
