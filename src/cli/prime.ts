// cairn prime: what the store holds for you and how to use it, as text for an agent's start hook.

import { FAULTS, Fault } from "../lib/fault.ts";
import { askNode } from "./client.ts";
import { type Command, given, textOption } from "./command.ts";
import { say, showAnswer } from "./output.ts";

/** A start hook must not hold up its agent. */
const HOOK_MS = 5_000;

export const prime: Command = {
  words: ["prime"],
  summary: "print what the store holds for you and how to use it, for an agent's start hook",
  more: "cairn setup claude-code --hook prints the hook that runs this. With --hook a node that is away is no failure: the agent starts without.",
  options: [
    { flags: "--space <space>", help: "only this space" },
    { flags: "--hook", help: "answer within 5 s and exit 0 even when no node answers" },
  ],
  asksNode: true,
  async run(invocation) {
    const isHook = invocation.options["hook"] === true;
    const wantsText = invocation.options["json"] !== true;
    try {
      const answer = await askNode(
        invocation,
        "prime",
        given({ space: textOption(invocation, "space"), format: wantsText ? "text" : undefined }),
        isHook ? { answerMs: HOOK_MS } : {},
      );
      return await showAnswer(invocation, answer, (body) => `${String(body["text"]).trimEnd()}\n`);
    } catch (error) {
      if (!isHook || !(error instanceof Fault) || !FAULTS[error.code].retryable) throw error;
      say(error.message);
      return 0;
    }
  },
};
