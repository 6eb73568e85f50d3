// cairn prime: prints what the store holds for the caller and how to use it, as text for an agent's start hook.

import { FAULTS, Fault } from "../lib/fault.ts";
import { askNode } from "./client.ts";
import { type Command, given, isSet, textOption } from "./command.ts";
import { say, showAnswer, wantsJson } from "./output.ts";

/** Time limit in a start hook, in ms: the agent waits for it. */
const HOOK_MS = 5_000;

/** `cairn prime`. */
export const prime: Command = {
  words: ["prime"],
  summary: "print what the store holds for you and how to use it, for an agent's start hook",
  more: `cairn setup claude-code --hook prints the hook that runs this. With --hook an unreachable node is no error:
the agent starts without the text.`,
  options: [
    { flags: "--space <space>", help: "only this space" },
    { flags: "--hook", help: "end within 5 s, with exit code 0 even if no node answers" },
  ],
  asksNode: true,
  async run(invocation) {
    const isHook = isSet(invocation, "hook");
    const wantsText = !wantsJson(invocation);
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
