// What was acknowledged to the agents, and what must therefore be so: versions one by one, each given to one write alone, nothing lost.

import { Wrong } from "./agent.ts";

/** An acknowledged write. */
export interface Written {
  version: number;
  etag: string;
  content: unknown;
  by: string;
}

interface Known {
  newest: Written;
  /** Who wrote each version. */
  by: Map<number, string>;
}

/** The contexts of a run. */
export class Ledger {
  readonly #contexts = new Map<string, Known>();
  /** A position that every acknowledged write stands at or below. */
  position = "";
  writes = 0;
  conflicts = 0;

  get ids(): string[] {
    return [...this.#contexts.keys()];
  }

  /** The newest acknowledged write of a context. */
  newest(id: string): Written | undefined {
    return this.#contexts.get(id)?.newest;
  }

  /** Takes an acknowledged write on top of version `base` (0: it was to create). Throws Wrong when its version was given before, or is not the next. */
  wrote(id: string, by: string, base: number, output: Record<string, unknown>, content: unknown): Written {
    const { version, etag, position } = output;
    if (typeof version !== "number" || typeof etag !== "string" || typeof position !== "string")
      throw new Wrong(`the write of ${id} by ${by} answered no version, etag or position: ${JSON.stringify(output)}`);
    if (version !== base + 1)
      throw new Wrong(`the write of ${id} by ${by} on top of version ${base} became version ${version}`);
    const known = this.#contexts.get(id);
    const other = known?.by.get(version);
    if (other !== undefined)
      throw new Wrong(`version ${version} of ${id} was acknowledged to ${other} and to ${by}: one of them is lost`);
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

  /** Checks what was read of a context that nobody writes meanwhile. Throws Wrong where it is not what was acknowledged. */
  read(id: string, where: string, output: Record<string, unknown>): void {
    const newest = this.newest(id);
    if (newest === undefined) return;
    const { version, etag, content } = output;
    if (version !== newest.version)
      throw new Wrong(
        `${id} at ${where} is version ${String(version)}, and version ${newest.version} was acknowledged to ${newest.by}`,
      );
    if (etag !== newest.etag || !Bun.deepEquals(content, newest.content, true))
      throw new Wrong(
        `${id} version ${newest.version} at ${where} is ${String(etag)} ${JSON.stringify(content)}, and ${newest.etag} ${JSON.stringify(newest.content)} was acknowledged to ${newest.by}`,
      );
  }

  /** Checks that every version up to the newest was acknowledged to somebody. */
  withoutGaps(): void {
    for (const [id, { newest, by }] of this.#contexts) {
      for (let version = 1; version <= newest.version; version++)
        if (!by.has(version))
          throw new Wrong(`${id} is at version ${newest.version}, and version ${version} was acknowledged to nobody`);
    }
  }
}

function seqOf(position: string): number {
  return Number(position.slice(position.lastIndexOf("-") + 1)) || 0;
}
