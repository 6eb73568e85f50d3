// Work that only a leader does (replication.md 12). It begins once the first entry of the leader's own term is applied
// here, so that it sees everything acknowledged before; it ends as soon as this node no longer leads.

/** One term of leadership. */
export interface Lead {
  term: number;
  /** Aborts when this node no longer leads, or stops. */
  signal: AbortSignal;
}

/** Called at the beginning of each term of leadership. Must not throw. */
export type Duty = (lead: Lead) => void;

/** The duties of one node. */
export class Duties {
  readonly #duties = new Set<Duty>();
  #now: { lead: Lead; stop: AbortController } | undefined;

  /**
   * Adds a duty, which begins at once where this node leads. Returns the function that removes it; a duty that has
   * begun goes on.
   */
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
