// probe_get, probe_check and probe_beat: at the leader, which asks the members that run a probe, and counts beats.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { timeOf } from "../../lib/time-of.ts";
import { stateTimeMs } from "../../log/log-time.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { read } from "../../operation/define.ts";
import { FULL_MEMBERS } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import {
  DEFAULT_SPACE,
  MAX_BEAT_TEXT,
  probeBeatKeep,
  probeName,
  probeSpace,
  requireProbe,
  spacesOfProbe,
} from "./control.ts";
import type { ProbeShape } from "./declared.ts";
import { shownDetail } from "./detail.ts";
import { probeIn, shownOf, shownProbe } from "./list.ts";
import { RUNNER } from "./parts.ts";
import { askCheck, askResults } from "./peer-paths.ts";
import { MAX_KEPT } from "./ring.ts";
import { controlRow, PROBE_LEVEL, probeId, stateRows } from "./rows.ts";
import { CAUSES } from "./state.ts";

const named = z.object({ name: probeName, space: probeSpace });

const results = z.array(
  z.object({
    node: z.string(),
    at: z.string(),
    good: z.boolean(),
    latency_ms: z.number().optional(),
    value: z.number().optional(),
    detail: z.string().optional(),
  }),
);

/** `probe_get` and its output, for callers without a node. */
export const PROBE_GET = {
  name: "probe_get",
  output: z.object({ probe: shownProbe, declared: z.record(z.string(), z.unknown()), results }),
} as const;

/** Shows one probe with its last results. */
export const probeGet = (node: Services) =>
  read({
    ...PROBE_GET,
    title: "Look at a probe",
    search: "health check results, latency, why is it down",
    description: `Shows a health check: state, declaration, and the last ${MAX_KEPT} results with latency of each member that runs it (those in memory: a restart forgets them).`,
    input: named,
    example: { name: "website" },
    samples: { space: "ops" },
    access: { verb: "read", spaces: spacesOfProbe },
    atLeader: true,
    async run(reader, { name, space = DEFAULT_SPACE }, { signal }) {
      const value = probeOf(reader, name, space);
      const rows = stateRows(reader, name);
      const found = await Promise.all(
        placesOf(rows).map(async (place) => {
          const kept = await resultsAt(node, place, name, signal);
          return kept.map(({ atMs, good, latencyMs, value: measured, detail }) => ({
            ...{ node: place, at: timeOf(atMs), good },
            ...(latencyMs === undefined ? {} : { latency_ms: latencyMs }),
            ...(measured === undefined ? {} : { value: measured }),
            ...(detail === "" ? {} : { detail }),
          }));
        }),
      );
      const probe = shownOf(name, value, rows, controlRow(reader, name), stateTimeMs(reader));
      return { probe, declared: { ...value }, results: found.flat() };
    },
  });

/** Checks a probe now. */
export const probeCheck = (node: Services) =>
  read({
    name: "probe_check",
    title: "Check a probe now",
    search: "run a health check, test whether it is up",
    description:
      "Makes the members that run a health check do it at once, and returns what each found. The result counts like any other. Beats are sent by jobs, and cannot be checked.",
    input: named,
    example: { name: "website" },
    samples: { space: "ops" },
    output: z.object({
      results: z.array(
        z.object({
          node: z.string().describe("Member id of its runner; empty: the leader."),
          outcome: z.enum(["good", "bad", "blind", "not run"]).describe("blind: the member cannot tell."),
          cause: z.enum(CAUSES),
          detail: z.string(),
          latency_ms: z.number().optional(),
          value: z.number().optional(),
        }),
      ),
    }),
    access: { verb: "operate", spaces: spacesOfProbe },
    atLeader: true,
    async run(reader, { name, space = DEFAULT_SPACE }, { signal }) {
      const value = probeOf(reader, name, space);
      if (value.type === "beat")
        throw new Fault("invalid_input", `${name} counts beats; nothing can be checked`, {
          hint: `Send one with \`cairn probe beat ${name}\`.`,
        });
      const found = await Promise.all(
        placesOf(stateRows(reader, name)).map((place) => checkAt(node, place, name, signal)),
      );
      return { results: found };
    },
  });

/** Takes the beat of a job. */
export const probeBeat = (node: Services) =>
  read({
    name: "probe_beat",
    title: "Send a beat",
    search: "heartbeat, job is done, cron job ran, dead man's switch, push monitor",
    description:
      "Tells a health check of the type beat that a job has run. When none comes for its interval and grace, it is down. good false says that the job failed: it is down at once.",
    input: named.extend({
      good: z.boolean().optional().describe("false: the job failed."),
      text: z.string().max(MAX_BEAT_TEXT).optional().describe("What to show of it."),
    }),
    example: { name: "backup" },
    samples: { space: "ops", good: true, text: "42 files" },
    output: z.object({ name: z.string(), counted: z.boolean() }),
    access: { verb: "write", spaces: spacesOfProbe },
    atLeader: true,
    hints: { idempotent: true },
    async run(reader, { name, space = DEFAULT_SPACE, good = true, text = "" }, { writes }) {
      const { type } = probeOf(reader, name, space);
      if (type !== "beat")
        throw new Fault("invalid_input", `${name} is of the type ${type}, which takes no beats`, {
          hint: "Beats are for probes that declare the type beat.",
        });
      const shown = shownDetail(text);
      const isKept = node.find(RUNNER)?.beat(name, good, shown);
      if (isKept === undefined)
        throw new Fault("unavailable", `The leader does not count the beats of ${name} yet`, {
          hint: "Send it again.",
        });
      if (isKept) await writes.propose(probeBeatKeep, { name, space, good, text: shown });
      return { name, counted: true };
    },
  });

function probeOf(reader: Reader, name: string, space: string): ProbeShape {
  refuseBelowLevel(reader, PROBE_LEVEL, "probe_get");
  requireProbe(reader, name, space);
  const row = declaredRow(reader, probeId(name));
  const value = row && probeIn(row);
  if (value !== undefined) return value;
  throw new Fault("unavailable", `This build cannot read the declaration of ${name}`, {
    hint: "Update cairn on this node to the version of the others.",
  });
}

/** Returns the places of a probe that the log has; before its first state, this node. */
function placesOf(rows: readonly { node: string }[]): string[] {
  return rows.length > 0 ? rows.map((row) => row.node) : [""];
}

function isHere(node: Services, place: string): boolean {
  return place === "" || place === node.get(FULL_MEMBERS).self();
}

async function resultsAt(node: Services, place: string, name: string, signal: AbortSignal) {
  if (isHere(node, place)) return node.find(RUNNER)?.results(name) ?? [];
  // A member that is away has no results to show.
  return (await askResults(node.get(FULL_MEMBERS), place, name, signal).catch(() => undefined)) ?? [];
}

async function checkAt(node: Services, place: string, name: string, signal: AbortSignal) {
  const run = async () =>
    isHere(node, place) ? node.find(RUNNER)?.checkNow(name) : askCheck(node.get(FULL_MEMBERS), place, name, signal);
  const found = await run().catch((error: unknown) => ({ problem: shownDetail(reasonOf(error)) }));
  signal.throwIfAborted();
  if (found === undefined || "problem" in found) {
    const detail = found?.problem ?? "the member does not run it now";
    return { node: place, outcome: "not run" as const, cause: "" as const, detail };
  }
  const { outcome, cause, detail, latencyMs, value } = found;
  return {
    ...{ node: place, outcome, cause, detail },
    ...(latencyMs === undefined ? {} : { latency_ms: latencyMs }),
    ...(value === undefined ? {} : { value }),
  };
}
