// cairn job start|list|get|wait|output|cancel|redrive: work that is queued for nodes and agents.

import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import {
  type FeatureCommand,
  type Option,
  optionNumber,
  optionText,
  optionTexts,
  type Words,
} from "../../operation/feature-command.ts";

type Row = Readonly<Record<string, unknown>>;

/** A node may need this long beyond the wait itself, in seconds. */
const EXTRA_SECONDS = 30;
const MAX_TIMEOUT_SECONDS = 300;

const ID = { name: "ID", help: "of the job, such as team-a/1-57", fills: "id" };
const SPACE: Option = { flags: "--space <space>", help: "the space that the action declares (default: fleet)" };
const idOf = ({ args }: Words) => ({ id: args[0] });

/** Returns the parameters of `NAME=VALUE` words. A value that is JSON of a number, true or false is taken as that. */
function inputOf(words: Words): Record<string, unknown> {
  const text = words.options["input"];
  const whole = typeof text === "string" ? parseObject(text) : {};
  if (whole === undefined)
    throw new Fault("invalid_input", "--input is no JSON object", { hint: 'Write it as \'{"file": "talk.mp3"}\'.' });
  const single = optionTexts(words, "set").map((word): [string, unknown] => {
    const [, name, value] = /^([a-z][a-z0-9_]*)=(.*)$/s.exec(word) ?? [];
    if (name === undefined || value === undefined)
      throw new Fault("invalid_input", `${JSON.stringify(word)} is not NAME=VALUE`, {
        hint: "Write it as --set file=talk.mp3.",
      });
    return [name, /^(?:true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)$/.test(value) ? JSON.parse(value) : value];
  });
  const input = { ...whole, ...Object.fromEntries(single) };
  return Object.keys(input).length === 0 ? {} : { input };
}

function lineOf(job: Row): string[] {
  const waits =
    job["waits_for"] === undefined
      ? ""
      : `waits for ${job["waits_for"] === "key" ? "its key" : `a ${job["waits_for"]}`}`;
  return [
    ...[String(job["id"]), String(job["state"]), String(job["action"])],
    `attempt ${job["attempt"]} of ${job["attempts"]}`,
    `since ${job["since"]}`,
    String(job["error"] ?? waits),
  ];
}

function jobText(job: Row, { input, progress, checkpoint, result }: Row = {}): string {
  const parts: [string, unknown][] = [
    ["by", job["by"]],
    ["worker", job["worker"]],
    ["input", input === undefined ? undefined : JSON.stringify(input)],
    ["progress", progress],
    ["checkpoint", checkpoint],
    ["output", job["output_bytes"] === 0 ? undefined : `${job["output_bytes"]} bytes; cairn job output ${job["id"]}`],
    ["error", job["error"]],
    ["result", result],
  ];
  const more = parts.filter(([, value]) => value !== undefined).map(([name, value]) => `  ${name}: ${value}\n`);
  return `${columns([lineOf({ ...job, error: "" })])}${more.join("")}`;
}

const start: FeatureCommand = {
  words: ["job", "start"],
  summary: "start a job of an action that the fleet declares; prints its id",
  more: 'Examples:\n  cairn job start transcribe --space team-a --set file=/media/talk.mp3\n  cairn job wait "$(cairn job start nightly)"',
  args: [{ name: "ACTION", help: "as in fleet/actions/ACTION", fills: "action" }],
  options: [
    SPACE,
    { flags: "--set <name=value>", help: "a parameter; may be repeated", repeated: true, fills: "input" },
    { flags: "--input <json>", help: "all parameters as a JSON object", fills: "input" },
    { flags: "--priority <n>", help: "-100 to 100; higher ones are done first" },
    { flags: "--key <key>", help: "of the jobs with one key, one at a time is done", fills: "concurrency_key" },
    { flags: "--attempts <n>", help: "attempts at most" },
    { flags: "--at <time>", help: "not before, such as 2026-12-24T18:00:00Z", fills: "run_at" },
    { flags: "--delay <seconds>", help: "not before so many seconds", fills: "delay_seconds" },
    {
      flags: "--idempotency-key <key>",
      help: "a retry with the same key starts nothing twice",
      fills: "idempotency_key",
    },
  ],
  operation: "job_start",
  input: (words) => ({
    action: words.args[0],
    ...optionText(words, "space"),
    ...inputOf(words),
    ...optionNumber(words, "priority"),
    ...optionText(words, "key", "concurrency_key"),
    ...optionNumber(words, "attempts"),
    ...optionText(words, "at", "run_at"),
    ...optionNumber(words, "delay", "delay_seconds"),
    ...optionText(words, "idempotencyKey", "idempotency_key"),
  }),
  show: ({ id }) => `${id}\n`,
};

const list: FeatureCommand = {
  words: ["job", "list"],
  summary: "list jobs, the newest first",
  options: [
    { flags: "--space <space>", help: "only those of this space" },
    { flags: "--action <action>", help: "only those of this action" },
    { flags: "--state <state>", help: "only those in this state, such as dead" },
    { flags: "--limit <n>", help: "at most this many (default 50)" },
    { flags: "--cursor <cursor>", help: "the next page" },
  ],
  operation: "job_list",
  input: (words) => ({
    ...optionText(words, "space"),
    ...optionText(words, "action"),
    ...optionText(words, "state"),
    ...optionNumber(words, "limit"),
    ...optionText(words, "cursor"),
  }),
  show: ({ jobs, cursor }) => {
    const rows = (jobs as Row[]).map(lineOf);
    const more = cursor === undefined ? "" : `more: --cursor ${cursor}\n`;
    return rows.length === 0 ? "no jobs\n" : `${columns(rows)}${more}`;
  },
};

const get: FeatureCommand = {
  words: ["job", "get"],
  summary: "show a job with its input and result",
  args: [ID],
  operation: "job_get",
  input: idOf,
  show: ({ job, ...rest }) => jobText(job as Row, rest),
};

const wait: FeatureCommand = {
  words: ["job", "wait"],
  summary: "wait for the end of a job; exits 3 unless it succeeded in time",
  args: [ID],
  options: [
    {
      flags: "--timeout <seconds>",
      help: `how long, at most ${MAX_TIMEOUT_SECONDS} (default 20)`,
      fills: "timeout_seconds",
    },
  ],
  operation: "job_wait",
  answerMs: (MAX_TIMEOUT_SECONDS + EXTRA_SECONDS) * 1000,
  input: (words) => ({ ...idOf(words), ...optionNumber(words, "timeout", "timeout_seconds") }),
  show: ({ job, result }) => jobText(job as Row, result === undefined ? {} : { result }),
  isNo: ({ job }) => (job as Row)["state"] !== "succeeded",
};

const output: FeatureCommand = {
  words: ["job", "output"],
  summary: "print the end of what the program of a job wrote, also while it runs",
  args: [ID],
  operation: "job_output",
  input: idOf,
  show: ({ output: text, note }) => {
    const shown = String(note ?? text);
    return shown === "" || shown.endsWith("\n") ? shown : `${shown}\n`;
  },
};

const cancel: FeatureCommand = {
  words: ["job", "cancel"],
  summary: "cancel a job; one that runs is asked to stop",
  args: [ID],
  operation: "job_cancel",
  input: idOf,
  show: ({ id, state, cancelling }) => `${id} ${cancelling === true ? "is asked to stop" : `is ${state}`}\n`,
};

const redrive: FeatureCommand = {
  words: ["job", "redrive"],
  summary: "queue a job again that failed or was cancelled",
  args: [ID],
  operation: "job_redrive",
  input: idOf,
  show: ({ id }) => `${id} is queued\n`,
};

/** The commands of jobs. */
export const jobCommands: readonly FeatureCommand[] = [start, list, get, wait, output, cancel, redrive];
