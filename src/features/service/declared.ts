// How services are declared: contexts fleet/services/NAME.

import { z } from "zod";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { LABEL } from "../../lib/machine-label.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import { boundFields, boundProblem } from "../../operation/bound.ts";
import type { DeclaredKind } from "../../operation/declared-kind.ts";
import { programFields, programFolder, programWords } from "../../operation/program-fields.ts";
import { MIN_UNIT_LEASE, UNIT_NAME } from "./unit.ts";

const MAX_TEXT = 512;
/** Longest reason of a deploy that failed. */
export const MAX_DEPLOY_REASON = 300;
const MAX_BACKUPS = 16;
const MEMBER = /^[!-~]{1,100}$/;

const words = programWords.refine((all) => !all.some((word) => word.includes("\0")), { message: "has a NUL" });
const port = z.number().int().min(1).max(65_535);
const member = z.string().regex(MEMBER, "is the name or the id of a member");

const check = z.strictObject({
  argv: words.optional().describe("A program that ends with the exit code 0 when all is well"),
  http: z
    .string()
    .max(1024)
    .regex(/^\/[!-~]*$/, "is a path such as /health")
    .optional()
    .describe("A path on 127.0.0.1 that answers with a status from 200 to 299"),
  port: port.optional().describe("http: the port; default: that of the service"),
});

/** A check of a service: a program, or a path. */
export type CheckShape = z.output<typeof check>;

/** Seconds until a version must be ready. */
export const withinSeconds = z.number().int().min(1).max(86_400);

/** How far `service_deploy` has come, and what it goes back to. */
const deploy = z.strictObject({
  before: z.number().int().min(0).describe("Version of this context that comes back; 0: none"),
  within: withinSeconds
    .optional()
    .describe("Seconds from when it is in force until it must be ready; left out once it was"),
  failed: z
    .strictObject({ version: z.number().int().min(1), reason: z.string().max(MAX_DEPLOY_REASON) })
    .optional()
    .describe("The version of a deploy that was taken back, and why"),
});

/** When a service is needed. */
const needed = z.strictObject({
  ...boundFields,
  cool_down_seconds: z
    .number()
    .int()
    .min(10)
    .max(86_400)
    .default(300)
    .describe("It ends once the number was within the bound for so long"),
});

/** What is declared of a service. */
export const serviceShape = z.strictObject({
  argv: words.optional().describe("Program and words, without a shell. It stays in the foreground"),
  unit: z
    .string()
    .regex(UNIT_NAME, "is the name of a unit, such as wiki.service")
    .optional()
    .describe(
      "In place of argv: a unit of systemd on its members, not enabled, with BindsTo= and After= the unit of the node. Its EnvironmentFile, /run/cairn/cairn-services/UNIT.env, has CAIRN_FENCE",
    ),
  stop: words.optional().describe("A program that asks it to end, before SIGTERM"),
  ready: check.optional().describe("When it is ready after a start; default: when its program has started"),
  ready_timeout: z.number().int().min(1).max(3600).default(60).describe("Seconds from a start until it must be ready"),
  status: check.optional().describe("Whether it still is well, asked again and again; default: ready"),
  status_interval: z.number().int().min(1).max(3600).default(10).describe("Seconds between two such checks"),
  status_failures: z.number().int().min(1).max(100).default(3).describe("Failures in a row until it is started anew"),
  port: port.optional().describe("Where it answers HTTP on 127.0.0.1, for /svc/NAME"),
  primary: member.optional().describe("The member that it belongs on, by name or id"),
  backups: z.array(member).max(MAX_BACKUPS).default([]).describe("Members that take it over, the first one first"),
  where: z
    .string()
    .max(128)
    .regex(/^(?:any|label:[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?)$/, "is any or label:LABEL")
    .default("any")
    .describe("Without primary: the full members that may run it, any or label:LABEL. Each agrees by fleet.run"),
  copies: z.enum(["one", "per_label"]).default("one").describe("per_label: one on each member with the label"),
  failback: z
    .string()
    .regex(
      /^(?:never|stable:[1-9][0-9]{0,6}|at:(?:[01][0-9]|2[0-3]):[0-5][0-9])$/,
      "is never, stable:SECONDS or at:HH:MM",
    )
    .default("never")
    .describe(
      "When it goes back to the primary: never, stable:SECONDS (that one is there for so long), at:HH:MM (UTC)",
    ),
  lease: z
    .number()
    .int()
    .min(5)
    .max(300)
    .default(15)
    .describe(
      "Seconds after which its member has ended it that does not hear the leader, and another one may start it",
    ),
  fence: z
    .enum(["resource", "none"])
    .default("none")
    .describe("resource: what it writes to refuses an older CAIRN_FENCE. It is only told to people"),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(20)
    .default(3)
    .describe("Failed starts on one member until the next one is taken"),
  backoff: z.number().int().min(0).max(3600).default(2).describe("Seconds until the second start, then doubled"),
  enabled: z.boolean().default(true).describe("false: it runs nowhere"),
  while: needed.optional().describe("It runs only while a number of a probe says that it is needed; default: always"),
  ...programFields,
  folder: programFolder.default("/").describe("Working folder; with an artifact below its folder"),
  artifact: z
    .string()
    .regex(BLOB_HASH, "is a SHA-256 of 64 hex digits")
    .optional()
    .describe(
      "SHA-256 of an archive, a blob of the space fleet, that is unpacked as its folder. cairn deploy writes it; by hand, name it in the metadata too (blobs), which keeps the blob",
    ),
  deploy: deploy.optional().describe("Written by service_deploy and service_rollback"),
  labels: z.array(z.string().regex(LABEL)).max(16).default([]),
  space: z
    .string()
    .regex(DECLARED_SPACE, "is the name of a space")
    .default("fleet")
    .describe("Space of its events, whose operators move it and whose members reach it; in fleet only admins do"),
  description: z.string().max(MAX_TEXT).optional(),
});

/** A service, as declared. */
export type ServiceShape = z.output<typeof serviceShape>;

/** The kind of declarations. */
export const SERVICE: DeclaredKind<ServiceShape> = {
  kind: "service",
  place: "services",
  summary: "a program that runs on one member, and on another one when that fails; or on each member with a label",
  schema: serviceShape,
  example: {
    argv: ["/usr/local/bin/wiki", "--listen", "127.0.0.1:8080"],
    port: 8080,
    ready: { http: "/health" },
    primary: "mini",
    backups: ["vm"],
    space: "ops",
  },
  operated: ["artifact", "deploy"],
  problem: problemOf,
};

/** Returns what the schema cannot say is wrong. */
function problemOf(service: ServiceShape): string | undefined {
  const { argv, stop, primary, backups, where, copies, failback } = service;
  if (argv?.[0] === "") return "argv.0: names the program";
  if ((argv === undefined) === (service.unit === undefined)) return "argv: a service has either argv or unit";
  if (stop?.[0] === "") return "stop.0: names the program";
  if (primary === undefined && backups.length > 0) return "backups: a service without primary has none";
  if (primary !== undefined && where !== "any") return "where: a service with a primary has none";
  if (service.artifact !== undefined && service.user !== undefined)
    return "user: a service with an artifact runs as the account of the node";
  if (service.artifact !== undefined && service.folder.split("/").includes(".."))
    return "folder: is below that of the artifact, without ..";
  const unsuited = service.unit === undefined ? undefined : unitProblem(service);
  if (unsuited !== undefined) return unsuited;
  const all = primary === undefined ? backups : [primary, ...backups];
  const twice = all.find((each, at) => all.indexOf(each) < at);
  if (twice !== undefined) return `backups: ${JSON.stringify(twice)} is named twice`;
  if (copies === "per_label" && !where.startsWith("label:")) return "copies: per_label needs where: label:LABEL";
  if (primary === undefined && failback !== "never") return "failback: a service without primary has none";
  const bound = service.while && boundProblem(service.while);
  if (bound !== undefined) return `while: ${bound}`;
  return checkProblem("ready", service.ready, service) ?? checkProblem("status", service.status, service);
}

/** What a unit has of its own file is not declared here. */
function unitProblem({ user, artifact, secrets, environment, limits, lease, ready }: ServiceShape): string | undefined {
  if (ready === undefined) return "ready: a unit needs a check, since it is started by another process";
  if (lease < MIN_UNIT_LEASE)
    return `lease: a unit needs ${MIN_UNIT_LEASE} seconds or more, since the watchdog of a frozen node comes after 30`;
  const isSet = Object.entries({ secrets, environment, limits }).find(
    ([, value]) => Object.keys(value).length > 0,
  )?.[0];
  const field = user !== undefined ? "user" : artifact !== undefined ? "artifact" : isSet;
  return field && `${field}: that of a unit is in its file`;
}

function checkProblem(field: string, given: CheckShape | undefined, service: ServiceShape): string | undefined {
  if (given === undefined) return undefined;
  const { argv, http } = given;
  if ((argv === undefined) === (http === undefined)) return `${field}: has either argv or http`;
  if (argv?.[0] === "") return `${field}.argv.0: names the program`;
  if (argv !== undefined && given.port !== undefined) return `${field}.port: is for http`;
  if (http !== undefined && given.port === undefined && service.port === undefined)
    return `${field}.port: there is none, and the service declares no port`;
  return undefined;
}

/** Returns a hash of what a running copy depends on: a copy of another one is started anew. */
export function hashOfProgram(service: ServiceShape): string {
  const {
    argv,
    stop,
    ready,
    status,
    port: at,
    lease,
    user,
    folder,
    grace,
    environment,
    secrets,
    limits,
    space,
    artifact,
  } = service;
  const parts = [argv, stop, ready, status, at, lease, user, folder, grace, environment, secrets, limits, space];
  // A service without one keeps the hash that earlier builds gave it: their update restarts nothing.
  if (artifact !== undefined) parts.push(artifact);
  if (service.unit !== undefined) parts.push(`unit ${service.unit}`);
  return sha256Hex(JSON.stringify(parts)).slice(0, 12);
}
