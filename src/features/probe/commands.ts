// cairn probe list|get|check|mute|pause|resume|beat: health checks of the fleet.

import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { type FeatureCommand, type Option, optionText, type Words } from "../../operation/feature-command.ts";
import { MAX_BEAT_TEXT } from "./control.ts";

type Row = Readonly<Record<string, unknown>>;

const NAME = { name: "NAME", help: "name of the probe", fills: "name" };
const SPACE: Option = { flags: "--space <space>", help: "the space that the probe declares (default: fleet)" };
const REASON: Option = { flags: "--reason <text>", help: "why, for others" };
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
/** Results that are shown. */
const SHOWN = 20;

const nameOf = ({ args }: Words) => ({ name: args[0] });

/** Returns the seconds of a text such as `90m`. Fault `invalid_input`. */
function secondsOf(text: string): number {
  const [, digits, unit = "s"] = /^([0-9]{1,9})([smhd])?$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * (UNITS[unit] ?? 1);
  throw new Fault("invalid_input", `${JSON.stringify(text)} is no time`, {
    hint: "Write a number with s, m, h or d, such as 90m; 0 ends a mute.",
  });
}

function stateWords({ state, muted_until: until }: Row): string {
  return until === undefined ? String(state) : `${state} (muted until ${until})`;
}

function placeWords({ node, state, cause, detail, since }: Row): string {
  const where = node === "" ? "leader" : String(node);
  const why = [cause, detail].filter((each) => each !== "").join(": ");
  return `${where}: ${state} since ${since}${why === "" ? "" : ` (${why})`}`;
}

const list: FeatureCommand = {
  words: ["probe", "list"],
  summary: "list the health checks of the fleet with their states",
  more: "Declare one with `cairn apply -f FILE`, or as the context fleet/probes/NAME. The exit code is 3 while one is down.",
  options: [
    { flags: "--space <space>", help: "only those of this space" },
    { flags: "--label <label>", help: "only those with this label" },
    { flags: "--state <state>", help: "only those in this state, such as down" },
  ],
  operation: "probe_list",
  input: (words) => ({ ...optionText(words, "space"), ...optionText(words, "label"), ...optionText(words, "state") }),
  show: ({ probes }) => {
    const rows = probes as Row[];
    if (rows.length === 0) return "no probes\n";
    return columns(
      rows.map((row) => {
        const places = row["places"] as Row[];
        const worst = places.find(({ state }) => state === row["state"]) ?? places[0];
        return [
          String(row["name"]),
          stateWords(row),
          String(row["type"]),
          String(row["target"] ?? ""),
          worst === undefined ? "" : placeWords(worst),
        ];
      }),
    );
  },
  isNo: ({ probes }) => (probes as Row[]).some(({ state }) => state === "down"),
};

const get: FeatureCommand = {
  words: ["probe", "get"],
  summary: "show a health check with its last results",
  args: [NAME],
  options: [SPACE],
  operation: "probe_get",
  input: (words) => ({ ...nameOf(words), ...optionText(words, "space") }),
  show: ({ probe, results }) => {
    const row = probe as Row;
    const head = [
      `${row["name"]}: ${stateWords(row)}`,
      ...(row["places"] as Row[]).map((place) => `  ${placeWords(place)}`),
    ];
    const last = (results as Row[])
      .slice(-SHOWN)
      .map(({ node, at, good, latency_ms: ms, value, detail }) => [
        ...[String(at), String(node === "" ? "leader" : node), good === true ? "good" : "bad"],
        ms === undefined ? "" : `${ms} ms`,
        value === undefined ? "" : String(value),
        String(detail ?? ""),
      ]);
    return `${head.join("\n")}\n${columns(last)}`;
  },
};

const check: FeatureCommand = {
  words: ["probe", "check"],
  summary: "make a health check now; exit code 3 if it is not good",
  args: [NAME],
  options: [SPACE],
  operation: "probe_check",
  answerMs: 90_000,
  input: (words) => ({ ...nameOf(words), ...optionText(words, "space") }),
  show: ({ results }) =>
    columns(
      (results as Row[]).map(({ node, outcome, cause, detail, latency_ms: ms }) => [
        ...[String(node === "" ? "leader" : node), String(outcome), ms === undefined ? "" : `${ms} ms`],
        [cause, detail].filter((each) => each !== "").join(": "),
      ]),
    ),
  isNo: ({ results }) => (results as Row[]).some(({ outcome }) => outcome !== "good"),
};

const mute: FeatureCommand = {
  words: ["probe", "mute"],
  summary: "tell no one what becomes of a health check, for a time that ends by itself",
  more: "Examples:\n  cairn probe mute website 2h --reason 'new disk'\n  cairn probe mute website 0",
  args: [NAME, { name: "TIME", help: "how long, such as 90m or 2h, at most 30d; 0 ends a mute", fills: "seconds" }],
  options: [SPACE, REASON],
  operation: "probe_mute",
  input: (words) => ({
    ...nameOf(words),
    ...(words.args[1] === undefined ? {} : { seconds: secondsOf(words.args[1]) }),
    ...optionText(words, "space"),
    ...optionText(words, "reason"),
  }),
  show: ({ name, muted_until: until }) =>
    until === undefined ? `${name} is not muted\n` : `${name} is muted until ${until}\n`,
};

const pauseOrResume = (verb: "pause" | "resume"): FeatureCommand => ({
  words: ["probe", verb],
  summary: verb === "pause" ? "stop a health check until it is resumed" : "go on with a health check that was paused",
  args: [NAME],
  options: [SPACE, REASON],
  operation: `probe_${verb}`,
  input: (words) => ({ ...nameOf(words), ...optionText(words, "space"), ...optionText(words, "reason") }),
  show: ({ name, paused }) => `${name} is ${paused === true ? "paused" : "checked"}\n`,
});

const beat: FeatureCommand = {
  words: ["probe", "beat"],
  summary: "say that a job has run, or with --failed that it failed, to a health check of the type beat",
  more: 'Example, at the end of a cron job:\n  cairn probe beat backup --space ops --text "$COUNT files"',
  args: [NAME],
  options: [
    SPACE,
    { flags: "--failed", help: "the job failed", fills: "good" },
    { flags: "--text <text>", help: `what to show of it, at most ${MAX_BEAT_TEXT} characters` },
  ],
  operation: "probe_beat",
  input: (words) => ({
    ...nameOf(words),
    ...(words.options["failed"] === true ? { good: false } : {}),
    ...optionText(words, "space"),
    ...optionText(words, "text"),
  }),
  show: ({ name }) => `${name}: counted\n`,
};

/** The commands of probes. */
export const probeCommands: readonly FeatureCommand[] = [
  ...[list, get, check, mute, pauseOrResume("pause"), pauseOrResume("resume"), beat],
];
