// The members as an edge knows them. The feed sends the list, and the feed may come from any full member; a list counts
// only if a central sent it, so that no regional can make itself the leader (security.md 8).

import { type FeedTerms, feedAnswer } from "../cache/index.ts";
import { KnownMembers, type Member, mayLead } from "../fleet/index.ts";
import { pause } from "../lib/pause.ts";

/** Asks the path `feed` of a member. */
type AskFeed = (
  node: string,
  request: unknown,
  options: { timeoutMs: number; signal: AbortSignal },
) => Promise<unknown>;

const ASK_MS = 3_000;
const RETRY_MS = 1_000;

/** Asks for nothing but the terms, and for no space. */
const TERMS_ONLY = { since: null, holdMs: 0, epoch: "", spaces: [], terms: "" };

export class EdgeMembers {
  readonly list = new KnownMembers();
  readonly #ask: AskFeed;
  readonly #stop = new AbortController();
  #asking: Promise<void> | undefined;

  /** `known` are the members of an earlier run or of the admission. Asks the path `feed` of centrals. */
  constructor(known: readonly Member[], ask: AskFeed) {
    this.#ask = ask;
    this.list.set(known);
  }

  /** Takes the list from a central; where another member sent it, asks the centrals for theirs. */
  take({ members }: Pick<FeedTerms, "members">, from: string): void {
    if (mayLead(this.list.get(from))) this.list.set(members);
    else this.#asking ??= this.#askCentrals().finally(() => (this.#asking = undefined));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#asking;
  }

  /** Asks one central after another until one answers. */
  async #askCentrals(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const { node } of this.list.list().filter(mayLead)) {
        try {
          const { terms } = feedAnswer.parse(await this.#ask(node, TERMS_ONLY, { timeoutMs: ASK_MS, signal }));
          if (terms !== null) return this.list.set(terms.members);
        } catch {
          // It cannot be asked now: the next one is.
        }
      }
      await pause(RETRY_MS, signal).catch(() => {});
    }
  }
}
