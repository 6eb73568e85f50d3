// A model with chat completions, as features ask it. The feature with its settings provides it (features/context/
// chat-model.ts); what is sent to it, and for whom, is security.md 19.

import { ServiceKey } from "./services.ts";

/** What a model said. */
export interface Said {
  text: string;
  /** The model ended it, and not a limit. */
  isWhole: boolean;
}

/** A model of a node. */
export interface Chat {
  /** The model and its service, for people. */
  readonly name: string;
  /** Reports whether no more questions are taken now. */
  readonly isBusy: boolean;
  /**
   * Asks the model about a text, which is data. `tokens`: most that it may say. Rejects with Fault `unavailable`, and
   * when `signal` aborts.
   */
  say(question: { instructions: string; text: string; tokens: number }, signal: AbortSignal): Promise<Said>;
}

/** The model of the node; absent where none is configured. */
export const CHAT: ServiceKey<Chat> = new ServiceKey("the chat model");
