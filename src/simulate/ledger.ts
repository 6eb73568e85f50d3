// Records what was acknowledged to agents, and checks what follows from it: versions without gaps, each given to one
// write, every read shows the newest; messages once each, and who may read them; leases with one holder at a time.

import { CheckFailedError, seqOf } from "./agent.ts";

/** An acknowledged write. */
export interface AcknowledgedWrite {
  version: number;
  etag: string;
  content: unknown;
  by: string;
}

interface ContextRecord {
  newest: AcknowledgedWrite;
  /** The author of each version. */
  by: Map<number, string>;
}

/** A message that was acknowledged to its author. `to` is left out where all may read it. */
export interface Said {
  id: string;
  by: string;
  to: readonly string[] | undefined;
}

/** A grant of a lease, as its holder knows it. */
export interface Grant {
  fence: string;
  by: string;
  /** Before the call that was granted was sent, in ms. */
  sinceMs: number;
  /** How long the holder counts on it from then on. */
  safeMs: number;
}

/** The acknowledged writes of a run. */
export class Ledger {
  readonly #contexts = new Map<string, ContextRecord>();
  readonly #sessions = new Map<string, Said[]>();
  readonly #held = new Map<string, Grant & { isDead: boolean }>();
  readonly #fences = new Map<string, number>();
  /** The highest position of an acknowledged write. */
  position = "";
  writes = 0;
  conflicts = 0;

  get ids(): string[] {
    return [...this.#contexts.keys()];
  }

  get sessions(): string[] {
    return [...this.#sessions.keys()];
  }

  /** Records the position of an acknowledged write. */
  reached(position: string): void {
    if (seqOf(position) > seqOf(this.position)) this.position = position;
  }

  /** Records a session. */
  began(session: string, by: string): void {
    if (this.#sessions.has(session)) throw new CheckFailedError(`${session} was given to ${by}, and to another before`);
    this.#sessions.set(session, []);
  }

  /** Records a message, and returns its id. Throws CheckFailedError where that was another message's. */
  said(session: string, said: Said): string {
    const known = this.#sessions.get(session) ?? [];
    if (known.some(({ id }) => id === said.id))
      throw new CheckFailedError(`${said.id} of ${session} was acknowledged for two messages: one of them is lost`);
    known.push(said);
    return said.id;
  }

  /** Returns the ids of the messages that this agent may read, in their order. */
  readable(session: string, agent: string): string[] {
    const all = this.#sessions.get(session) ?? [];
    return all.filter(({ by, to }) => to === undefined || by === agent || to.includes(agent)).map(({ id }) => id);
  }

  /**
   * Records the grant of a lease. Throws CheckFailedError where another one still counts on it, or where its fence is
   * not newer than that of the grant before.
   */
  granted(name: string, grant: Grant): void {
    const before = this.#held.get(name);
    const isOver = before === undefined || (before.isDead && performance.now() >= before.sinceMs + before.safeMs);
    if (!isOver)
      throw new CheckFailedError(`${name} was granted to ${grant.by} while ${before.by} holds it by ${before.fence}`);
    const newest = this.#fences.get(name) ?? 0;
    if (seqOf(grant.fence) <= newest)
      throw new CheckFailedError(`${name} was granted to ${grant.by} by ${grant.fence}, and by …-${newest} before`);
    this.#fences.set(name, seqOf(grant.fence));
    this.#held.set(name, { ...grant, isDead: false });
  }

  /** Records that a lease is about to be given back. */
  released(name: string, fence: string): void {
    if (this.#held.get(name)?.fence === fence) this.#held.delete(name);
  }

  /** Records that the holder does nothing more: the lease ends by its time. */
  died(name: string, fence: string): void {
    const held = this.#held.get(name);
    if (held?.fence === fence) held.isDead = true;
  }

  /** Returns the newest acknowledged write of a context. */
  newest(id: string): AcknowledgedWrite | undefined {
    return this.#contexts.get(id)?.newest;
  }

  /**
   * Records an acknowledged write on top of version `base` (0: it created the context). Throws CheckFailedError when
   * its version is not the next one, or was given to another write.
   */
  acknowledge(
    id: string,
    by: string,
    base: number,
    output: Record<string, unknown>,
    content: unknown,
  ): AcknowledgedWrite {
    const { version, etag, position } = output;
    if (typeof version !== "number" || typeof etag !== "string" || typeof position !== "string")
      throw new CheckFailedError(
        `the write of ${id} by ${by} returned no version, etag or position: ${JSON.stringify(output)}`,
      );
    if (version !== base + 1)
      throw new CheckFailedError(`the write of ${id} by ${by} on top of version ${base} became version ${version}`);
    const known = this.#contexts.get(id);
    const other = known?.by.get(version);
    if (other !== undefined)
      throw new CheckFailedError(
        `version ${version} of ${id} was acknowledged to ${other} and to ${by}: one of them is lost`,
      );
    const written = { version, etag, content, by };
    if (known === undefined) this.#contexts.set(id, { newest: written, by: new Map([[version, by]]) });
    else {
      known.by.set(version, by);
      if (version > known.newest.version) known.newest = written;
    }
    this.writes++;
    this.reached(position);
    return written;
  }

  /**
   * Checks a read of a context that has no concurrent writers. Throws CheckFailedError where it is not the newest
   * write.
   */
  checkRead(id: string, where: string, output: Record<string, unknown>): void {
    const newest = this.newest(id);
    if (newest === undefined) return;
    const { version, etag, content } = output;
    if (version !== newest.version)
      throw new CheckFailedError(
        `${id} at ${where} is version ${String(version)}, ` +
          `and version ${newest.version} was acknowledged to ${newest.by}`,
      );
    if (etag !== newest.etag || !Bun.deepEquals(content, newest.content, true))
      throw new CheckFailedError(
        `${id} version ${newest.version} at ${where} is ${String(etag)} ${JSON.stringify(content)}, ` +
          `and ${newest.etag} ${JSON.stringify(newest.content)} was acknowledged to ${newest.by}`,
      );
  }

  /** Checks that every version up to the newest was acknowledged. Throws CheckFailedError. */
  checkNoGaps(): void {
    for (const [id, { newest, by }] of this.#contexts) {
      for (let version = 1; version <= newest.version; version++)
        if (!by.has(version))
          throw new CheckFailedError(
            `${id} is at version ${newest.version}, and version ${version} was never acknowledged`,
          );
    }
  }
}
