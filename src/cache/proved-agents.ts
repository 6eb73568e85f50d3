// Which agents an edge may answer from its cache. An edge has no list of agents: a full member has said of each, within
// the last seconds, that its key is that of an agent of its caller.

/** How long that counts, in ms: so long an agent may still read here that was taken over or removed. */
const PROVED_MS = 10_000;
/** Agents that are remembered; the one that was proved longest ago is forgotten. */
const MAX_AGENTS = 10_000;

/**
 * `proved`: a full member said it lately. `lapsed`: it did, longer ago: it is asked again, unless none can be asked.
 * `unknown`: it did not, or has said the contrary.
 */
export type AgentProof = "proved" | "lapsed" | "unknown";

/** What is known of agents, by caller and key. */
export class ProvedAgents {
  readonly #nowMs: () => number;
  readonly #provedMs = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Returns what is known of one. */
  of(who: string): AgentProof {
    const provedMs = this.#provedMs.get(who);
    if (provedMs === undefined) return "unknown";
    return this.#nowMs() - provedMs <= PROVED_MS ? "proved" : "lapsed";
  }

  /** Records that a full member responded to a call of it that was sent at `sentMs`. */
  prove(who: string, sentMs: number): void {
    this.#provedMs.delete(who);
    this.#provedMs.set(who, sentMs);
    const [oldest] = this.#provedMs.keys();
    if (this.#provedMs.size > MAX_AGENTS && oldest !== undefined) this.#provedMs.delete(oldest);
  }

  /** Records that a full member knows no such agent. */
  forget(who: string): void {
    this.#provedMs.delete(who);
  }
}
