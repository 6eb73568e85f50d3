// cairn context watch|wait: prints changes. `watch` follows the node's event stream; `wait` asks once.

import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, countOption, given, type Invocation, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { objectsOf, say, showAnswer, wantsJson } from "../output.ts";
import { printStream } from "../print-stream.ts";

const WAIT_SECONDS = 25;
/** The node may need this long beyond the wait itself, in seconds. */
const EXTRA_SECONDS = 30;

const prefixArgument = { name: "[PREFIX]", help: "only ids that begin with this", offers: "ids" } as const;
const sinceOption = { flags: "--since <position>", help: "only changes after this position (default: now)" };
const idOption = { flags: "--id <id>", help: "only this context", offers: "ids" } as const;

/** `cairn context watch`. */
export const contextWatch: Command = {
  words: ["context", "watch"],
  summary: "print changes as they happen, until Ctrl-C; reconnects by itself",
  more: `Examples:
  cairn context watch team-a/
  cairn context watch --id team-a/plan --count 1      (ends after one change)
--json prints each change as the node sends it, one per line; --since with its position continues after it.`,
  args: [prefixArgument],
  options: [idOption, sinceOption, { flags: "--count <n>", help: "end after this many changes" }],
  asksNode: true,
  async run(invocation) {
    const maxCount = countOption(invocation, "count", "--count", 1) ?? Number.POSITIVE_INFINITY;
    return printStream(invocation, { path: pathOf(invocation), since: since(invocation), maxCount }, lineOf);
  },
};

function pathOf(invocation: Invocation): string {
  const id = textOption(invocation, "id");
  const prefix = invocation.args[0];
  if (id !== undefined && prefix !== undefined) {
    throw new Fault("invalid_input", "--id and a prefix do not go together", { hint: "Give one of them." });
  }
  if (id !== undefined) return `/contexts/${encodeURIComponent(id)}/stream`;
  return `/changes?${new URLSearchParams(prefix === undefined ? {} : { prefix })}`;
}

function since(invocation: Invocation): string {
  return textOption(invocation, "since") ?? "";
}

function lineOf(change: Record<string, unknown>): string {
  const { time, target, version, outcome, caller, position } = change;
  return `${time}  ${target} version ${version} ${outcome} by ${caller}  ${position}\n`;
}

/** `cairn context wait`. */
export const contextWait: Command = {
  words: ["context", "wait"],
  summary: "wait for the next change and print it; exits 3 when there was none in time",
  args: [prefixArgument],
  options: [
    idOption,
    sinceOption,
    { flags: "--timeout <seconds>", help: `how long to wait, at most 300 (default ${WAIT_SECONDS})` },
    { flags: "--limit <n>", help: "most changes to print" },
  ],
  asksNode: true,
  async run(invocation) {
    const seconds = countOption(invocation, "timeout", "--timeout") ?? WAIT_SECONDS;
    const answer = await askNode(
      invocation,
      "context_wait",
      given({
        id: textOption(invocation, "id"),
        prefix: invocation.args[0],
        since: textOption(invocation, "since"),
        timeout_seconds: seconds,
        limit: countOption(invocation, "limit", "--limit"),
      }),
      { answerMs: (seconds + EXTRA_SECONDS) * 1000 },
    );
    await showAnswer(invocation, answer, (body) => objectsOf(body["changes"]).map(lineOf).join(""));
    if (answer.body["timed_out"] !== true) return 0;
    if (!wantsJson(invocation)) say(`no change within ${seconds} s, at ${answer.body["position"]}`);
    return NEGATIVE_EXIT;
  },
};
