// What only a leader does (replication.md 12): begun once its first own entry is applied here, so that it decides on all that was acknowledged before; ended as soon as it no longer leads.

/** One time of leading. */
export interface Lead {
  term: number;
  /** Aborts when this node no longer leads, or stops. */
  signal: AbortSignal;
}

/** Called at the beginning of each time of leading; must not throw. */
export type Duty = (lead: Lead) => void;

/** The duties of one node. */
export class Duties {
  readonly #duties = new Set<Duty>();
  #now: { lead: Lead; stop: AbortController } | undefined;

  /** Adds a duty, which begins at once where this node leads; answers the function that removes it, which does not end what has begun. */
  on(duty: Duty): () => void {
    this.#duties.add(duty);
    if (this.#now !== undefined) duty(this.#now.lead);
    return () => this.#duties.delete(duty);
  }

  begin(term: number): void {
    if (this.#now?.lead.term === term) return;
    this.end();
    const stop = new AbortController();
    const lead = { term, signal: stop.signal };
    this.#now = { lead, stop };
    for (const duty of [...this.#duties]) duty(lead);
  }

  end(): void {
    const ended = this.#now;
    this.#now = undefined;
    ended?.stop.abort();
  }
}
