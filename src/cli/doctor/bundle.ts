// cairn doctor --bundle: one archive of what is known about a node, for somebody who helps. Nothing that agents wrote
// is asked for, and secrets are removed from what is.

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { arch, platform, release } from "node:os";
import { buildInfo } from "../../config/build-info.ts";
import { namedSecret } from "../../config/named-secrets.ts";
import { SECRET_VARIABLE } from "../../config/secret-reference.ts";
import { eachSecret, readSecrets, secretOrigins } from "../../config/secrets.ts";
import { SETTING_ROWS } from "../../features/index.ts";
import { Fault } from "../../lib/fault.ts";
import { fileReason, reasonOf } from "../../lib/reason-of.ts";
import { type TarFile, tarOf } from "../../lib/tar.ts";
import { redactFields, redactText, registerSecret } from "../../observe/redact.ts";
import { askNode, openStream } from "../client.ts";
import type { Invocation } from "../command.ts";
import { localSettings } from "../local-settings.ts";
import type { Finding } from "./finding.ts";

/** Time for one answer of the node, in ms. */
const ANSWER_MS = 10_000;
/** Longest text of one file, in characters. */
const MAX_CHARS = 8 * 1024 * 1024;
/** Forms of secrets that no list of them is needed for: agents' handles, tickets, passwords in URLs. */
const SECRET_FORMS: readonly [RegExp, string][] = [
  [/\bagent-[0-9a-f]{32}\b/g, "[redacted]"],
  [/\bcairn-ticket-[A-Za-z0-9-]+/g, "[redacted]"],
  [/:\/\/[^/@\s"]+@/g, "://[redacted]@"],
  [/([?&][^=&\s"]*(?:token|key|secret|sig|password)[^=&\s"]*=)[^&\s"]+/gi, "$1[redacted]"],
];

const README = `What cairn doctor --bundle found, for somebody who helps with this node.

doctor.json      the checks of cairn doctor
versions.json    of cairn and its parts, and of this system
settings.json    the settings that a node here would start with, and which secrets are set, without their values
status.json      the node's own report, with its conditions, the fleet, and the machines of the members
members.json     the members of the fleet
log-levels.json  from which level on the parts of the node write log lines
metrics.txt      the metrics of the node

Not in it: contexts, messages, memory, events and whatever else agents wrote; secrets; log lines, which the node does not
keep (under systemd: journalctl -u cairn). In it: names of machines and spaces, logins, addresses, paths. Read it before
you send it. A file that could not be made holds the reason.
`;

/** Writes the archive, readable by this user alone, and returns the names in it. Fault `data_exists`, `internal`. */
export async function writeBundle(
  path: string,
  invocation: Invocation,
  findings: readonly Finding[],
): Promise<string[]> {
  registerAll(invocation);
  const file = createNew(path);
  try {
    const files = await filesOf(invocation, findings);
    const archive = Bun.gzipSync(Buffer.from(tarOf(files, Date.now())));
    for (let at = 0; at < archive.length; ) at += writeSync(file, archive, at);
    return files.map(({ name }) => name);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Throws Fault `data_exists` where there is something already, a link too. */
function createNew(path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST")
      throw new Fault("data_exists", `${path} exists already, and nothing is overwritten`, {
        hint: "Name another file for --bundle, or move that one away.",
      });
    throw new Fault("invalid_input", `Cannot make the file ${path}: ${fileReason(cause)}`, {
      hint: "Name a file in a folder that you may write to.",
      cause,
    });
  }
}

/** Registers every secret that this environment names, those of declarations too. */
function registerAll({ env }: Invocation): void {
  const quietly = (read: () => void) => {
    try {
      read();
    } catch (error) {
      // A secret that cannot be read cannot be in the archive; the doctor's checks say what is wrong with it.
      if (!(error instanceof Fault)) throw error;
    }
  };
  quietly(() => eachSecret(readSecrets(env), registerSecret));
  for (const { name } of secretOrigins(env)) {
    registerSecret(env[name]?.trim());
    if (name.startsWith(SECRET_VARIABLE))
      quietly(() => registerSecret(namedSecret(`secret:${name.slice(SECRET_VARIABLE.length)}`, env)));
  }
}

async function filesOf(invocation: Invocation, findings: readonly Finding[]): Promise<TarFile[]> {
  const made: readonly [name: string, make: () => unknown][] = [
    ["README.txt", () => README],
    ["doctor.json", () => findings],
    ["versions.json", () => ({ ...buildInfo, platform: platform(), arch: arch(), release: release() })],
    ["settings.json", () => settingsOf(invocation)],
    ["status.json", () => answerOf(invocation, "node_status", { machines: true })],
    ["members.json", () => answerOf(invocation, "fleet_members", {})],
    ["log-levels.json", () => answerOf(invocation, "node_log_levels", {})],
    ["metrics.txt", () => metricsOf(invocation)],
  ];
  const files: TarFile[] = [];
  for (const [name, make] of made) files.push({ name: `cairn-doctor/${name}`, bytes: Buffer.from(await textOf(make)) });
  return files;
}

async function textOf(make: () => unknown): Promise<string> {
  let made: unknown;
  try {
    made = await make();
  } catch (error) {
    made = { error: reasonOf(error) };
  }
  const text = typeof made === "string" ? made : `${JSON.stringify(redactFields(made, -4), null, 2)}\n`;
  return withoutSecrets(text).slice(0, MAX_CHARS);
}

/** Returns a text without registered secrets and without what has the form of one. */
export function withoutSecrets(text: string): string {
  return SECRET_FORMS.reduce((clean, [form, shown]) => clean.replace(form, shown), redactText(text));
}

function settingsOf(invocation: Invocation): unknown {
  const { all, origins, file } = localSettings(invocation);
  const rows = SETTING_ROWS.map(([key]) => ({ setting: key, value: all[key] ?? null, origin: origins.get(key) }));
  return { file: file ?? null, settings: rows, set: secretOrigins(invocation.env).map(({ name }) => name) };
}

async function answerOf(invocation: Invocation, operation: string, input: object): Promise<unknown> {
  return (await askNode(ofFolder(invocation), operation, input, { answerMs: ANSWER_MS })).body;
}

async function metricsOf(invocation: Invocation): Promise<string> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  return new Response(await openStream(ofFolder(invocation), "/metrics", { accept: "text/plain" }, signal)).text();
}

/** The checks look at a data folder, so its node is asked and not the one of CAIRN_URL. */
function ofFolder(invocation: Invocation): Invocation {
  return { ...invocation, options: { data: localSettings(invocation).settings.data } };
}
