// Records the writes that were acknowledged to agents, and checks what follows from them: versions without gaps, each
// given to one write, and every read shows the newest.

import { CheckFailedError } from "./agent.ts";

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

/** The acknowledged writes of a run. */
export class Ledger {
  readonly #contexts = new Map<string, ContextRecord>();
  /** The highest position of an acknowledged write. */
  position = "";
  writes = 0;
  conflicts = 0;

  get ids(): string[] {
    return [...this.#contexts.keys()];
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
    if (seqOf(position) > seqOf(this.position)) this.position = position;
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

function seqOf(position: string): number {
  return Number(position.slice(position.lastIndexOf("-") + 1)) || 0;
}
