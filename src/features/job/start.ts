// job_start: puts a job into the queue. What the action declares is judged and stamped into the command, so apply needs
// no declaration but that it is there.

import { z } from "zod";
import { canonicalJson } from "../../lib/canonical-json.ts";
import { Fault } from "../../lib/fault.ts";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { parseObject } from "../../lib/json-object.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { DECLARATIONS, DECLARED_NAME, type Declaration } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { type Operation, write } from "../../operation/define.ts";
import { epochNumber } from "../../operation/fence.ts";
import type { Services } from "../../operation/services.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { ACTION, type ActionShape, actionName } from "./action.ts";
import { bytesOf, enqueue } from "./queue.ts";
import { actionId, JOB_LEVEL, type JobRow, PLACE, shownJob, shownOf } from "./rows.ts";
import { judgeInput } from "./words.ts";

/** Longest input as JSON, in characters; longer ones are blobs. */
export const MAX_INPUT = 64 * 1024;
/** Space of actions that declare none. */
export const DEFAULT_SPACE = "fleet";
/** Longest delay: a job that waits longer is a schedule. */
const MAX_DELAY_SECONDS = 366 * 86_400;
const MAX_KEY = 128;

/** Space of jobs. */
export const jobSpace = z
  .string()
  .regex(DECLARED_SPACE, "is the name of a space")
  .describe("Space that the action declares (default fleet).");

/** What one who starts a job may say of it. */
export const startChoices = {
  input: z.record(z.string().max(32), z.unknown()).optional().describe("Values of the action's parameters."),
  priority: z.number().int().min(-100).max(100).optional().describe("Higher ones are done first (default 0)."),
  concurrency_key: z
    .string()
    .min(1)
    .max(MAX_KEY)
    .optional()
    .describe("Of the jobs of the space with one key, one at a time is done."),
  attempts: z.number().int().min(1).max(20).optional().describe("Attempts at most (default: as the action declares)."),
};

const startInput = z.object({
  action: actionName,
  space: jobSpace.optional(),
  ...startChoices,
  run_at: z.iso.datetime({ offset: true }).optional().describe("Not before that time, such as 2026-12-24T18:00:00Z."),
  delay_seconds: z.number().int().min(0).max(MAX_DELAY_SECONDS).optional().describe("Not before so many seconds."),
});

/** What the log has of a new job. */
export const newJob = z.object({
  action: z.string().regex(DECLARED_NAME),
  space: z.string(),
  input: z.string().max(MAX_INPUT),
  priority: z.number().int(),
  concurrency_key: z.string(),
  /** Log time in ms; 0: at once. */
  run_at: z.number().int(),
  delay_ms: z.number().int(),
  runs: z.enum(["member", "caller"]),
  attempts: z.number().int(),
  backoff_ms: z.number().int(),
  timeout_ms: z.number().int(),
  ttl_ms: z.number().int(),
  keep_ms: z.number().int(),
});
export type NewJob = z.output<typeof newJob>;

/** Returns a new job of an action in force. Throws Fault `invalid_input`. */
export function newJobOf(
  { name, value }: Pick<Declaration<ActionShape>, "name" | "value">,
  asked: z.output<z.ZodObject<typeof startChoices>>,
  time: Pick<NewJob, "run_at" | "delay_ms"> = { run_at: 0, delay_ms: 0 },
): NewJob {
  const input = canonicalJson(judgeInput(name, value, asked.input ?? {}));
  if (input.length > MAX_INPUT) {
    throw new Fault("too_large", `The input of ${name} has ${input.length} characters; ${MAX_INPUT} are allowed`, {
      hint: "Put what is long into a blob or a context, and give its name.",
      details: { limit: MAX_INPUT },
    });
  }
  return {
    ...{ action: name, space: value.space, input, ...time },
    ...{ priority: asked.priority ?? 0, concurrency_key: asked.concurrency_key ?? "" },
    runs: value.argv === undefined ? "caller" : "member",
    attempts: asked.attempts ?? value.attempts,
    ...{ backoff_ms: value.backoff * 1000, timeout_ms: value.timeout * 1000 },
    ...{ ttl_ms: value.claim * 1000, keep_ms: value.keep * 1000 },
  };
}

/** Starts a job. */
export const jobStart = (node: Services): Operation =>
  write({
    name: "job_start",
    v: 1,
    level: JOB_LEVEL,
    apart: true,
    title: "Start a job",
    search: "run a task, enqueue, background work, run a command on a machine, trigger an action",
    description:
      "Puts a job of a declared action (fleet/actions/NAME; declaration_list shows them with their parameters) into the durable queue. A node that agrees runs its program, or an agent claims it with job_claim. Give an idempotency_key, so that a retry starts nothing twice. job_wait waits for its end.",
    input: startInput,
    example: { action: "transcribe", space: "team-a", input: { file: "/media/talk.mp3" } },
    samples: {
      ...{ priority: 10, concurrency_key: "gpu-1", attempts: 3, run_at: "2026-12-24T18:00:00Z", delay_seconds: 60 },
    },
    maxInputBytes: 4 * MAX_INPUT,
    output: shownJob,
    access: { verb: "write", spaces: ({ space = DEFAULT_SPACE }) => [space] },
    aliases: { name: "action", parameters: "input", args: "input" },
    hints: { idempotent: false },
    work: () => 10 * WRITE_ROW,
    prepare({ action, space = DEFAULT_SPACE, run_at: at, delay_seconds: delay, ...asked }): NewJob {
      if (at !== undefined && delay !== undefined)
        throw new Fault("invalid_input", "run_at and delay_seconds are two times for one job", {
          hint: "Give one of them.",
          details: { field: "delay_seconds" },
        });
      const declaration = node
        .find(DECLARATIONS)
        ?.list(ACTION)
        .find((each) => each.name === action);
      if (declaration === undefined || declaration.value.space !== space) throw noAction(action, space);
      const time = { run_at: at === undefined ? 0 : Date.parse(at), delay_ms: (delay ?? 0) * 1000 };
      return newJobOf(declaration, asked, time);
    },
    apply(tx, command, stamp) {
      requireAction(tx, command);
      const { seq, timeMs, caller, agent = "" } = stamp;
      const job = rowOf(command, { seq, timeMs, n: epochNumber(tx), caller, agent, schedule: "" });
      const change = enqueue(tx, job);
      return { output: shownOf({ ...job, ...placed(tx, job.id) }), changes: [change] };
    },
  });

/** Returns the row of a new job. */
export function rowOf(
  command: NewJob,
  made: { seq: number; timeMs: number; n: number; caller: string; agent: string; schedule: string },
): JobRow {
  const { run_at, delay_ms, ...kept } = command;
  const { seq, timeMs, n, caller, agent, schedule } = made;
  const runAt = Math.max(run_at, timeMs + delay_ms);
  return {
    ...{ id: `${command.space}/${n}-${seq}`, n, number: seq, state: "queued", ...kept },
    ...{ place: runAt > timeMs ? PLACE.delayed : PLACE.ready, run_at: runAt, attempt: 0 },
    ...{ caller, agent, schedule, created_at: timeMs, changed_at: timeMs },
    ...{ worker: "", worker_agent: "", boot: "", claim_n: 0, claim_seq: 0, cancel: 0, expires_at: 0, seq },
    ...{ output_bytes: 0, output_sha256: "", error: "", checkpoint: "", result: "", output: "" },
    bytes: bytesOf({ input: command.input, checkpoint: "", result: "", output: "", error: "" }),
  };
}

/** In apply too: throws Fault `not_found` where no action of this name and space is declared, by the log alone. */
function requireAction(reader: Reader, { action, space }: { action: string; space: string }): void {
  const row = declaredRow(reader, actionId(action));
  const declared = row === undefined || row.version === 0 ? undefined : parseObject(row.text);
  if (declared === undefined || (declared["space"] ?? DEFAULT_SPACE) !== space) throw noAction(action, space);
}

function placed(tx: Writer, id: string): Pick<JobRow, "place"> {
  return tx.get<Pick<JobRow, "place">>("SELECT place FROM jobs WHERE id = ?", id) ?? { place: PLACE.ready };
}

/** The refusal of an action that is not there. */
export function noAction(action: string, space: string): Fault {
  return new Fault("not_found", `There is no action ${JSON.stringify(action)} in the space ${JSON.stringify(space)}`, {
    hint: "declaration_list with the kind action shows those in force, with their spaces. A new one is in force within seconds.",
  });
}
