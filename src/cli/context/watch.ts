// cairn context watch|wait: what changes, as it changes. `watch` follows the node's event stream and comes back by position after every loss; `wait` asks once.

import { FAULTS, Fault, isFaultCode } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { Backoff } from "../../lib/retry.ts";
import { readEvents } from "../../lib/server-sent-events.ts";
import { askNode, openStream } from "../client.ts";
import { type Command, countOption, given, type Invocation, textOption } from "../command.ts";
import { objectsOf, say, showAnswer, writeData } from "../output.ts";

const MAX_EVENT_CHARS = 1024 * 1024;
/** The node speaks at least every 15 s; a stream that is silent for longer than this is dead. */
const SILENCE_MS = 45_000;
/** Before a stream that ended is opened again. */
const RETRY = { firstMs: 100, lastMs: 5_000 };
/** Said of a wait that ended without a change: asked for, and not true yet. */
const TIMED_OUT_EXIT = 3;
const WAIT_SECONDS = 25;

const prefixArgument = { name: "[PREFIX]", help: "only ids that begin with this", offers: "ids" } as const;
const sinceOption = { flags: "--since <position>", help: "changes after this position; without it from now on" };
const idOption = { flags: "--id <id>", help: "only this context", offers: "ids" } as const;

/** `cairn context watch`. */
export const contextWatch: Command = {
  words: ["context", "watch"],
  summary: "print changes as they happen, until Ctrl-C; comes back by itself when the node was away",
  more: "Examples:\n  cairn context watch team-a/\n  cairn context watch --id team-a/plan --count 1      (ends after one change)\n--json prints each change as the node sends it, one on a line; its position goes on with --since.",
  args: [prefixArgument],
  options: [idOption, sinceOption, { flags: "--count <n>", help: "end after so many changes" }],
  asksNode: true,
  async run(invocation) {
    const most = countOption(invocation, "count", "--count") ?? Number.POSITIVE_INFINITY;
    const end = new AbortController();
    let exit = 0;
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)
      process.once(signal, () => {
        exit = code;
        end.abort();
      });
    let seen = 0;
    try {
      for await (const text of follow(invocation, end.signal)) {
        const line = invocation.options["json"] === true ? `${text}\n` : lineOf(parseObject(text) ?? {});
        seen += 1;
        if (!(await writeData(line)) || seen >= most) break;
      }
    } catch (error) {
      if (!end.signal.aborted) throw error;
    }
    end.abort();
    return exit;
  },
};

/** Each change as the node's JSON text. Ends with the signal; throws the Fault of a stream that cannot be had again. */
async function* follow(invocation: Invocation, signal: AbortSignal): AsyncGenerator<string> {
  const id = textOption(invocation, "id");
  const prefix = invocation.args[0];
  if (id !== undefined && prefix !== undefined) {
    throw new Fault("invalid_input", "--id and a prefix do not go together", { hint: "Give one of them." });
  }
  const query = new URLSearchParams(given({ prefix }) as Record<string, string>);
  const path = id === undefined ? `/changes?${query}` : `/contexts/${encodeURIComponent(id)}/stream`;
  let position = textOption(invocation, "since") ?? "";
  let opened = false;
  let told = false;
  const backoff = new Backoff(RETRY);
  for (;;) {
    const quiet = new AbortController();
    const silence = setTimeout(() => quiet.abort(), SILENCE_MS);
    try {
      const headers = { accept: "text/event-stream", ...(position === "" ? {} : { "last-event-id": position }) };
      const body = await openStream(invocation, path, headers, AbortSignal.any([signal, quiet.signal]));
      opened = true;
      const heard = body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform: (chunk, controller) => {
            silence.refresh();
            controller.enqueue(chunk);
          },
        }),
      );
      for await (const event of readEvents(heard, MAX_EVENT_CHARS)) {
        backoff.reset();
        told = false;
        if (event.event === "end") refuseEnd(event.data);
        else if (event.event === "change") yield event.data;
        // After the change is out: whoever comes back with this position has seen it.
        if (event.id !== undefined) position = event.id;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault && (!opened || !FAULTS[error.code].retryable)) throw error;
      if (!told) say(`the node is away; coming back${position === "" ? "" : ` at ${position}`}`);
      told = true;
    } finally {
      clearTimeout(silence);
      quiet.abort();
    }
    await backoff.wait(signal);
  }
}

/** Why the node ended the stream: a Fault that stays is thrown, everything else is a reason to come back. */
function refuseEnd(data: string): void {
  const { reason, message, hint } = parseObject(data) ?? {};
  if (typeof reason !== "string" || !isFaultCode(reason) || FAULTS[reason].retryable) return;
  throw new Fault(reason, String(message), typeof hint === "string" ? { hint } : {});
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
    { flags: "--limit <n>", help: "at most so many changes" },
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
      { answerMs: (seconds + 30) * 1000 },
    );
    await showAnswer(invocation, answer, (body) => objectsOf(body["changes"]).map(lineOf).join(""));
    if (answer.body["timed_out"] !== true) return 0;
    if (invocation.options["json"] !== true) say(`no change within ${seconds} s, at ${answer.body["position"]}`);
    return TIMED_OUT_EXIT;
  },
};
