// probe_mute, probe_pause, probe_resume: what people say of a probe. And the beats of jobs, as they are kept.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { parseObject } from "../../lib/json-object.ts";
import { timeOf } from "../../lib/time-of.ts";
import type { Changed } from "../../log/log.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { type ApplyStamp, type WriteOperation, write } from "../../operation/define.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { type ControlRow, hashOfControl, PROBE_LEVEL, probeId, probeTarget, writeControl } from "./rows.ts";

/** Longest mute: a mute ends. */
const MAX_MUTE_SECONDS = 30 * 86_400;
const MAX_REASON = 300;
/** Longest text of a beat. */
export const MAX_BEAT_TEXT = 300;

/** Name of a probe. */
export const probeName = z
  .string()
  .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
  .describe("Name of the probe, as in fleet/probes/NAME.");
/** Space of a probe. */
export const probeSpace = z
  .string()
  .regex(DECLARED_SPACE, "is the name of a space")
  .optional()
  .describe("Space that the probe declares (default fleet).");
/** Space of a probe that says none. */
export const DEFAULT_SPACE = "fleet";
const reason = z.string().max(MAX_REASON).optional().describe("Why, for others.");

/** Returns the spaces of a call about a probe. */
export function spacesOfProbe({ space = DEFAULT_SPACE }: { space?: string | undefined }): string[] {
  return [space];
}

/** Throws Fault `not_found` where no probe of this name and space is declared. In apply too: by the log alone. */
export function requireProbe(reader: Reader, name: string, space: string): void {
  const row = declaredRow(reader, probeId(name));
  const declared = row === undefined || row.version === 0 ? undefined : parseObject(row.text);
  if (declared !== undefined && (declared["space"] ?? DEFAULT_SPACE) === space) return;
  throw new Fault("not_found", `There is no probe ${JSON.stringify(name)} in the space ${JSON.stringify(space)}`, {
    hint: "probe_list shows those that you may see, with their spaces.",
  });
}

function changeOf(row: ControlRow, outcome: string): Changed {
  const target = `${probeTarget(row.space, row.name)}/control`;
  return { target, version: 0, contentHash: "", outcome, state: hashOfControl(row) };
}

const controlOutput = z.object({
  name: z.string(),
  paused: z.boolean(),
  muted_until: z.string().optional().describe("Absent: it is not muted."),
});

function shown({ name, paused, muted_until: until }: ControlRow, timeMs: number): z.output<typeof controlOutput> {
  return { name, paused: paused === 1, ...(until > timeMs ? { muted_until: timeOf(until) } : {}) };
}

/** Mutes a probe for a time. */
export const probeMute = write({
  name: "probe_mute",
  v: 1,
  level: PROBE_LEVEL,
  title: "Mute a probe",
  search: "silence an alert, maintenance, stop notifications, unmute",
  description:
    "No one is told what becomes of the probe for so many seconds; it is checked meanwhile. When the mute ends and it is down, that is said then. seconds 0 ends a mute.",
  input: z.object({
    name: probeName,
    space: probeSpace,
    seconds: z.number().int().min(0).max(MAX_MUTE_SECONDS).describe("How long; 0 ends a mute."),
    reason,
  }),
  example: { name: "website", seconds: 3600, reason: "new disk" },
  samples: { space: "ops" },
  output: controlOutput,
  access: { verb: "operate", spaces: spacesOfProbe },
  hints: { idempotent: true },
  prepare: ({ space = DEFAULT_SPACE, reason: why = "", ...input }) => ({ ...input, space, reason: why }),
  apply(tx, { name, space, seconds, reason: why }, stamp) {
    requireProbe(tx, name, space);
    const until = seconds === 0 ? 0 : stamp.timeMs + 1000 * seconds;
    const row = writeControl(tx, name, { muted_until: until, reason: why, by: stamp.caller, space, seq: stamp.seq });
    return { output: shown(row, stamp.timeMs), changes: [changeOf(row, seconds === 0 ? "unmuted" : "muted")] };
  },
});

function pauses(isPaused: boolean) {
  const words = isPaused
    ? { name: "probe_pause", title: "Pause a probe", search: "stop checking, disable a health check" }
    : { name: "probe_resume", title: "Resume a probe", search: "check again, enable a health check" };
  return write({
    ...words,
    v: 1,
    level: PROBE_LEVEL,
    description: isPaused
      ? "The probe is not checked, and no one is told anything of it, until probe_resume. Mute it where the pause should end by itself."
      : "A paused probe is checked again.",
    input: z.object({ name: probeName, space: probeSpace, reason }),
    example: { name: "website" },
    samples: { space: "ops", reason: "moved" },
    output: controlOutput,
    access: { verb: "operate", spaces: spacesOfProbe },
    hints: { idempotent: true },
    prepare: ({ space = DEFAULT_SPACE, reason: why = "", ...input }) => ({ ...input, space, reason: why }),
    apply(
      tx: Writer,
      { name, space, reason: why }: { name: string; space: string; reason: string },
      stamp: ApplyStamp,
    ) {
      requireProbe(tx, name, space);
      const set = { paused: isPaused ? 1 : 0, reason: why, by: stamp.caller, space, seq: stamp.seq };
      const row = writeControl(tx, name, set);
      return { output: shown(row, stamp.timeMs), changes: [changeOf(row, isPaused ? "paused" : "resumed")] };
    },
  });
}

/** Pauses a probe. */
export const probePause: WriteOperation = pauses(true) as unknown as WriteOperation;
/** Lets a paused probe be checked again. */
export const probeResume: WriteOperation = pauses(false) as unknown as WriteOperation;

/** Keeps a beat, so that the next leader knows it. The leader proposes few of them (beats.ts). */
export const probeBeatKeep = write({
  name: "probe_beat_keep",
  v: 1,
  level: PROBE_LEVEL,
  internal: true,
  apart: true,
  title: "Keep a beat",
  description: "Notes the last beat of a job.",
  input: z.object({ name: probeName, space: probeSpace, good: z.boolean(), text: z.string().max(MAX_BEAT_TEXT) }),
  output: z.object({ kept: z.boolean() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: ({ space = DEFAULT_SPACE, ...input }) => ({ ...input, space }),
  apply(tx, { name, space, good, text }, stamp) {
    requireProbe(tx, name, space);
    const set = { beat_at: stamp.timeMs, beat_good: good ? 1 : 0, beat_text: text, space, seq: stamp.seq };
    return { output: { kept: true }, changes: [changeOf(writeControl(tx, name, set), "beat")] };
  },
});
