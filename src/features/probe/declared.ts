// How probes are declared: contexts fleet/probes/NAME.

import { Cron } from "croner";
import { z } from "zod";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { LABEL } from "../../lib/machine-label.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { DECLARED_NAME, type DeclaredKind } from "../../operation/declared-kind.ts";

const MAX_TARGET = 2048;
const MAX_TEXT = 512;
const MAX_PATH = 256;

const statusRange = z.union([
  z.number().int().min(100).max(599),
  z.string().regex(/^[1-5]xx$/, "is a status such as 204, or a class such as 2xx"),
]);
const pointer = z
  .string()
  .max(MAX_PATH)
  .regex(/^(?:\/(?:[^~]|~[01])*)?$/, "is a JSON pointer such as /queue/length")
  .describe("A JSON pointer, such as /total_count");
const jsonTest = z.strictObject({
  path: pointer,
  equals: z.union([z.string().max(MAX_TEXT), z.number(), z.boolean(), z.null()]).optional(),
  above: z.number().optional(),
  below: z.number().optional(),
});

const expectations = z
  .strictObject({
    status: z
      .array(statusRange)
      .min(1)
      .max(20)
      .optional()
      .describe("http: default 2xx and 3xx; redirects are not followed"),
    contains: z.string().min(1).max(MAX_TEXT).optional().describe("http: text in the first 256 KiB of the body"),
    json: z.array(jsonTest).min(1).max(10).optional().describe("http: what the JSON of the body says"),
    exit_code: z.number().int().min(0).max(255).optional().describe("command: default 0"),
    latency_ms: z.number().int().min(1).max(60_000).optional().describe("longest time of an answer"),
    certificate_days: z
      .number()
      .int()
      .min(1)
      .max(365)
      .optional()
      .describe("https: days that its certificate is still valid"),
    address: z.string().min(1).max(MAX_TEXT).optional().describe("dns: one of the answers"),
  })
  .default({});

/** HTTP header whose value may end with a secret, such as `Bearer secret:NAME`. */
const header = z
  .string()
  .max(1024)
  .regex(/^[\t !-~]*$/, "has characters that a header cannot have");
const headers = z
  .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/, "is no name of a header"), header)
  .refine((all) => Object.keys(all).length <= 20, { message: "has more than 20 headers" })
  .refine((all) => !Object.keys(all).some((name) => OWN_HEADERS.test(name)), {
    message: "has a header that Cairn sets",
  })
  .optional()
  .describe("http: a value may be, or end after a blank with, secret:NAME");
const OWN_HEADERS =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|accept-encoding|cairn-.*)$/i;

const window = z.strictObject({
  pattern: z.string().min(1).max(100).describe("Cron expression of its beginning: minute, hour, day, month, weekday"),
  timezone: z.string().min(1).max(64).default("UTC"),
  minutes: z
    .number()
    .int()
    .min(1)
    .max(7 * 24 * 60),
});

/** A word of a command line. */
const WORD = /^[^\0\n\r]*$/;

/** What is declared of a probe. */
export const probeShape = z.strictObject({
  type: z.enum(["http", "tcp", "dns", "ping", "command", "beat"]),
  target: z
    .string()
    .min(1)
    .max(MAX_TARGET)
    .optional()
    .describe("http: URL; tcp: HOST:PORT; dns: name; ping: name of a member; command, beat: none"),
  network: z.enum(["host", "tailnet"]).default("host").describe("http, tcp: by which network"),
  tls: z
    .boolean()
    .default(false)
    .describe("tcp: also make a TLS connection; without it outbound.allow must list the target"),
  record: z.enum(["A", "AAAA", "CNAME", "MX", "NS", "TXT"]).default("A").describe("dns: what is asked for"),
  headers,
  command: z
    .array(z.string().max(MAX_TARGET).regex(WORD, "has a NUL or a line end"))
    .min(1)
    .max(64)
    .optional()
    .describe(
      "command: the program and its arguments; no shell reads them. Only nodes whose fleet.run names it run it",
    ),
  environment: z
    .record(z.string().regex(/^[A-Za-z_]\w{0,63}$/, "is no name of a variable"), z.string().max(1024).regex(WORD))
    .optional()
    .describe("command: variables; a value may be secret:NAME"),
  where: z
    .string()
    .max(128)
    .regex(
      /^(?:leader|all|label:[a-z0-9][a-z0-9._-]{0,62}|member:[!-~]{1,100})$/,
      "is leader, all, label:LABEL or member:NAME",
    )
    .default("leader")
    .describe("Which full members do it: leader, all, label:LABEL, member:NAME"),
  interval: z
    .number()
    .int()
    .min(5)
    .max(86_400)
    .default(60)
    .describe("Seconds between two checks; beat: the longest time between beats"),
  schedule: window.omit({ minutes: true }).optional().describe("In place of interval: when it is checked"),
  retry: z
    .number()
    .int()
    .min(1)
    .max(3600)
    .optional()
    .describe("Seconds between checks while suspect; default 10, or interval if that is less"),
  timeout: z.number().int().min(1).max(60).default(10).describe("Seconds for one check"),
  expect: expectations,
  value: pointer.optional().describe("http: the number that the probe measures, in the JSON of the body"),
  down: z.number().int().min(1).max(20).default(3).describe("Failures in a row until it is down"),
  up: z.number().int().min(1).max(20).default(2).describe("Good checks in a row until it is up again"),
  grace: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(0)
    .describe("Seconds after it was declared in which failures do not count; beat: also after each beat is due"),
  depends_on: z
    .array(z.string().regex(DECLARED_NAME))
    .max(16)
    .default([])
    .describe("Probes without which this one says nothing"),
  maintenance: z.array(window).max(8).default([]).describe("Times in which no one is told"),
  labels: z.array(z.string().regex(LABEL)).max(16).default([]),
  space: z
    .string()
    .regex(DECLARED_SPACE, "is the name of a space")
    .default("fleet")
    .describe(
      "Space of its events, whose operators may mute it and whose members send beats; in fleet only admins may",
    ),
  description: z.string().max(MAX_TEXT).optional(),
});

/** A probe, as declared. */
export type ProbeShape = z.output<typeof probeShape>;

/** The kind of declarations. */
export const PROBE: DeclaredKind<ProbeShape> = {
  kind: "probe",
  place: "probes",
  summary: "a health check: an HTTP answer, a connection, a name, a member, a command, or beats that a job sends",
  schema: probeShape,
  example: { type: "http", target: "https://example.com/", interval: 60, expect: { status: [200] } },
  problem: problemOf,
};

/** Fields that only some types have. */
const ONLY: Readonly<Record<string, readonly ProbeShape["type"][]>> = {
  headers: ["http"],
  value: ["http", "command"],
  command: ["command"],
  environment: ["command"],
  schedule: ["http", "tcp", "dns", "ping", "command"],
};
const EXPECT_ONLY: Readonly<Record<string, readonly ProbeShape["type"][]>> = {
  ...{
    status: ["http"],
    contains: ["http", "command"],
    json: ["http", "command"],
    exit_code: ["command"],
    certificate_days: ["http"],
    address: ["dns"],
  },
  latency_ms: ["http", "tcp", "dns", "ping", "command"],
};

/** Returns what the schema cannot say is wrong. */
function problemOf(probe: ProbeShape, name: string): string | undefined {
  const { type, target, network, tls, depends_on: needed, maintenance, schedule } = probe;
  const hasTarget = type !== "beat" && type !== "command";
  if (!hasTarget && target !== undefined) return `target: a probe of the type ${type} has none`;
  if (hasTarget && target === undefined) return "target is missing";
  if (type === "command" && probe.command === undefined) return "command is missing";
  if (type === "beat" && probe.where !== "leader") return "where: beats are counted by the leader";
  const misplaced = wrongField(probe, ONLY, type) ?? wrongField(probe.expect, EXPECT_ONLY, type, "expect.");
  if (misplaced !== undefined) return misplaced;
  if (type === "tcp" && tls && network === "tailnet") return "tls: within the tailnet every connection is encrypted";
  if (needed.includes(name)) return "depends_on: it depends on itself";
  const wrong = maintenance.map((each, at) => patternProblem(`maintenance.${at}`, each)).find(Boolean);
  return (schedule && patternProblem("schedule", schedule)) ?? wrong ?? targetProblem(probe);
}

function wrongField(
  fields: Readonly<Record<string, unknown>>,
  only: typeof ONLY,
  type: ProbeShape["type"],
  prefix = "",
): string | undefined {
  const [field] = Object.entries(only).find(([key, types]) => fields[key] !== undefined && !types.includes(type)) ?? [];
  return field === undefined ? undefined : `${prefix}${field}: a probe of the type ${type} has none`;
}

function patternProblem(place: string, { pattern, timezone }: { pattern: string; timezone: string }) {
  try {
    const cron = new Cron(pattern, { paused: true, mode: "5-part", timezone });
    return cron.nextRun() === null ? `${place}.pattern: ${JSON.stringify(pattern)} is never due` : undefined;
  } catch (error) {
    return `${place}.pattern: ${JSON.stringify(pattern)} in ${JSON.stringify(timezone)}: ${reasonOf(error)}`;
  }
}

function targetProblem({ type, target = "", expect, value }: ProbeShape): string | undefined {
  const wanted = (what: string) => `target: takes ${what}; it is ${JSON.stringify(target)}`;
  if (type === "http") {
    const url = URL.canParse(target) ? new URL(target) : undefined;
    const isPlain = url !== undefined && url.username === "" && url.password === "" && url.hash === "";
    if (!isPlain || !/^https?:$/.test(url.protocol)) return wanted("https://… or http://… without user and password");
    if (expect.certificate_days !== undefined && url.protocol !== "https:")
      return "expect.certificate_days: http has no certificate";
    return value === "" ? "value: names the whole body, which is no number" : undefined;
  }
  if (type === "tcp" && hostAndPort(target) === undefined) return wanted("HOST:PORT");
  if (type === "dns" && !/^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(target))
    return wanted("a name");
  if (type === "ping" && !/^[!-~]{1,128}$/.test(target)) return wanted("the name of a member");
  return undefined;
}

/** Returns host and port of `HOST:PORT` or `[ADDRESS]:PORT`; undefined for another text. */
export function hostAndPort(text: string): { host: string; port: number } | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253})):([1-9][0-9]{0,4})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}
