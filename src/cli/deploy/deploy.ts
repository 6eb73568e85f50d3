// cairn deploy: packs a folder or program, puts it as a blob of the fleet, gives it to a service, and waits until it
// is ready or was taken back.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { isJsonObject } from "../../lib/json-value.ts";
import { pause } from "../../lib/pause.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { putFile } from "../blob/put.ts";
import { askNode } from "../client.ts";
import { type Command, countOption, type Invocation, textOption, textsOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { cell, objectsOf, say, showResult } from "../output.ts";
import { checkArchive, type Packed, packTo } from "./pack.ts";

/** The space of declarations and their artifacts. */
const SPACE = "fleet";
/** Seconds until a version must be ready, where --within does not say. */
const WITHIN_SECONDS = 120;
/** The leader judges, prepares and takes back in this time more, in ms. */
const MORE_MS = 60_000;
/** Between two looks, in ms. */
const LOOK_MS = 500;
/** Looks between two questions for the output of a version that is not ready; what is shown of it at the end. */
const OUTPUT_LOOKS = 6;
const OUTPUT_LINES = 20;
const OUTPUT_CHARS = 4000;
const UNJUDGED = "the leader has not taken it yet";
/** A word that only a shell understands. */
const SHELL_SIGNS = /["'`$\\|&;<>(){}*?~]/;

/** `cairn deploy`. */
export const deployCommand: Command = {
  words: ["deploy"],
  operation: "service_deploy",
  summary: "give a service a new version: pack it, copy it to the fleet, start it, and take it back unless it is ready",
  more: `Examples:
  cairn deploy web ./dist --to web --port 8080 --health /health -- ./server --port 8080
  cairn deploy web ./dist                       the next version; what is not said stays
  cairn deploy agent ./agent --primary mini --backup vm
PATH is a folder, one program, or an archive that ends with .tar (files and folders only). Members that agree to run the
service (fleet.run) unpack it as the folder of the service. The version before goes on until its member has the next one,
and comes back if that is not ready within --within; cairn service rollback NAME brings it back later.
The exit code is 0 once the version is ready, and 3 if it was taken back or nothing is known. Callers by 127.0.0.1 reach
/svc/NAME only of a service in another space than fleet (--space). Docs: docs/service-guide.md.`,
  args: [
    { name: "NAME", help: "name of the service" },
    { name: "PATH", help: "a folder, a program, or an archive", offers: "files" },
    { name: "[COMMAND...]", help: "what runs in the folder, after --; default: as before, or the program itself" },
  ],
  options: [
    { flags: "--command <words>", help: "the same as one text, parted at blanks" },
    { flags: "--to <label>", help: "members with this label may run it; any: each member" },
    { flags: "--primary <member>", help: "the member that it belongs on, by name or id" },
    { flags: "--backup <member>", help: "a member that takes it over; may be repeated", repeated: true },
    { flags: "--port <port>", help: "where it answers HTTP on 127.0.0.1, for /svc/NAME" },
    { flags: "--health <path>", help: "it is ready when this path, or http://127.0.0.1:PORT/PATH, answers with 200" },
    { flags: "--space <space>", help: "space of its events and operators (default: as before, or fleet)" },
    { flags: "--exclude <name>", help: "leave out files and folders of this name; may be repeated", repeated: true },
    { flags: "--copies <n>", help: "full members that hold the archive before it is deployed" },
    { flags: "--within <seconds>", help: `time until it must be ready (default ${WITHIN_SECONDS})` },
    { flags: "--no-wait", help: "do not wait until it is ready" },
  ],
  asksNode: true,
  async run(invocation) {
    const [name = "", path = ""] = invocation.args;
    const declared = declaredBy(invocation);
    const within = countOption(invocation, "within", "--within", 1);
    const copies = countOption(invocation, "copies", "--copies", 1);
    // Before anything is packed and sent.
    if (!DECLARED_NAME.test(name))
      throw new Fault(
        "invalid_input",
        `NAME takes 1 to 64 of a-z, 0-9 and . _ - (not first), not ${JSON.stringify(name)}`,
        {
          hint: "For example: cairn deploy web ./dist -- ./server",
        },
      );
    const folder = mkdtempSync(join(tmpdir(), "cairn-deploy-"));
    let sha256: string;
    let packed: Packed;
    try {
      const isArchive = path.endsWith(".tar");
      const archive = isArchive ? resolve(path) : join(folder, "artifact.tar");
      const excluded = new Set(textsOption(invocation, "exclude"));
      packed = isArchive ? await checkArchive(archive) : await packTo(resolve(path), archive, excluded);
      say(`packed ${counted(packed.files, "file")}, ${counted(packed.bytes, "byte")}`);
      const chosen = { space: SPACE, content_type: "application/x-tar", ...(copies === undefined ? {} : { copies }) };
      const stored = await putFile(invocation, archive, chosen);
      sha256 = String(stored["sha256"]);
      const holders = Number(stored["holders"]);
      say(`${counted(holders, "member")} of the fleet ${holders === 1 ? "holds" : "hold"} it: ${sha256}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const input = { name, artifact: sha256, ...(within === undefined ? {} : { within }) };
    const body = await give(invocation, input, declared, packed);
    if (invocation.options["wait"] === false) {
      const where = body["space"] === SPACE ? "" : ` --space ${cell(body["space"])}`;
      await showResult(
        invocation,
        body,
        `${name} is deployed; cairn service get ${name}${where} shows what becomes of it\n`,
      );
      return 0;
    }
    const { output, ...outcome } = await outcomeOf(invocation, body, (within ?? WITHIN_SECONDS) * 1000 + MORE_MS);
    await showResult(invocation, { ...body, ...outcome }, `${cell(name)} ${outcome.text}\n`);
    if (outcome.outcome === "taken_back" && output !== "") say(`the end of what this version wrote:\n${output}`);
    return outcome.outcome === "ready" ? 0 : NEGATIVE_EXIT;
  },
};

/** Deploys. A program alone is what runs, where the service is new and nothing else is said. */
async function give(
  invocation: Invocation,
  input: { name: string },
  declared: Record<string, unknown>,
  { program }: Packed,
): Promise<Record<string, unknown>> {
  const isOpen = program !== undefined && declared["argv"] === undefined;
  const more = isOpen && !(await isDeclared(invocation, input.name)) ? { argv: [`./${program}`] } : {};
  const all = { ...declared, ...more };
  const given = Object.keys(all).length === 0 ? input : { ...input, declared: all };
  return (await askNode(invocation, "service_deploy", given)).body;
}

async function isDeclared(invocation: Invocation, name: string): Promise<boolean> {
  const { body } = await askNode(invocation, "declaration_list", { kind: "service" });
  return objectsOf(body["declarations"]).some((each) => each["name"] === name && Number(each["in_force"]) > 0);
}

/** Returns the fields of the declaration that the options say. Fault `invalid_input`. */
function declaredBy(invocation: Invocation): Record<string, unknown> {
  const [, , ...words] = invocation.args.flatMap((word) => word ?? []);
  const port = countOption(invocation, "port", "--port", 1);
  const [label, primary] = [textOption(invocation, "to"), textOption(invocation, "primary")];
  const backups = textsOption(invocation, "backup");
  if (label !== undefined && (primary !== undefined || backups.length > 0))
    throw new Fault("invalid_input", "--to and --primary or --backup say both where it runs", {
      hint: "Give --to LABEL, or the members by --primary and --backup.",
    });
  const argv = argvOf(words, textOption(invocation, "command"));
  const health = textOption(invocation, "health");
  const space = textOption(invocation, "space");
  return {
    ...(argv === undefined ? {} : { argv }),
    ...(port === undefined ? {} : { port }),
    ...(health === undefined ? {} : { ready: checkOf(health) }),
    ...(space === undefined ? {} : { space }),
    ...(label === undefined ? {} : { where: label === "any" ? "any" : `label:${label}`, primary: null, backups: null }),
    ...(primary === undefined ? {} : { primary, where: null, backups }),
    ...(primary === undefined && backups.length > 0 ? { backups } : {}),
  };
}

function argvOf(words: readonly string[], text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return words.length === 0 ? undefined : words;
  if (words.length > 0)
    throw new Fault("invalid_input", "The command is there twice: by --command and after --", {
      hint: "Give one of them.",
    });
  const sign = SHELL_SIGNS.exec(text)?.[0];
  if (sign !== undefined)
    throw new Fault("invalid_input", `--command is parted at blanks, without a shell: ${sign} means nothing there`, {
      hint: "Give the words after --, where your shell parts them: cairn deploy NAME PATH -- ./run 'two words'",
    });
  return text.trim().split(/\s+/);
}

function checkOf(health: string): { http: string; port?: number } {
  if (health.startsWith("/")) return { http: health };
  const url = URL.canParse(health) ? new URL(health) : undefined;
  const isLocal = url !== undefined && ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url?.protocol !== "http:" || !isLocal)
    throw new Fault(
      "invalid_input",
      `--health is a path such as /health, not ${JSON.stringify(health.slice(0, 200))}`,
      {
        hint: "A member asks its own copy, on 127.0.0.1. `cairn apply` declares a probe for checks from elsewhere.",
      },
    );
  return { http: `${url.pathname}${url.search}`, port: Number(url.port || 80) };
}

/** What a deploy came to. */
interface Outcome {
  outcome: "ready" | "taken_back" | "replaced" | "unknown";
  text: string;
}

/** Waits until it is known what a deploy came to, at most so long. `output`: the end of what the new version wrote. */
async function outcomeOf(
  invocation: Invocation,
  { name, space, version, artifact }: Record<string, unknown>,
  waitMs: number,
): Promise<Outcome & { output: string }> {
  const untilMs = performance.now() + waitMs;
  let told = "";
  let output = "";
  for (let looks = 0; ; looks += 1) {
    const seen = await lookAt(invocation, { name, space }).catch((error: unknown) => {
      // The leader may change meanwhile, or not have judged the first version of the service yet.
      if (error instanceof Fault && (error.code === "not_found" || error.code === "unavailable")) return error;
      throw error;
    });
    const found = seen instanceof Fault ? undefined : judge(seen, Number(version), artifact);
    if (typeof found === "object") return { ...found, output };
    const text = found ?? (seen instanceof Fault ? waitsFor(seen) : "");
    // Once it is taken back, nothing has its output any more.
    if (!(seen instanceof Fault) && hasBegun(seen) && (text !== told || looks % OUTPUT_LOOKS === 0))
      output = (await outputOf(invocation, { name, space })) || output;
    if (text !== told && text !== "") say(text);
    told = text;
    if (performance.now() >= untilMs)
      return {
        ...{ outcome: "unknown", output },
        text: `is not ready after ${Math.round(waitMs / 1000)} s, nor taken back: ${told}`,
      };
    await pause(LOOK_MS);
  }
}

/** A first version is not known before the leader has judged it. */
function waitsFor({ code, message }: Fault): string {
  return code === "not_found" ? UNJUDGED : message;
}

/** Reports whether the last start is one of the new version, which is not ready. */
function hasBegun({ service }: Record<string, unknown>): boolean {
  const copies = objectsOf(isJsonObject(service) ? service["copies"] : undefined);
  return copies.some(({ state, failures }) => state === "starting" || (state === "idle" && Number(failures) > 0));
}

/** Returns the last lines of what the last start wrote; "" where nobody says. */
async function outputOf(invocation: Invocation, input: Record<string, unknown>): Promise<string> {
  try {
    const { body } = await askNode(invocation, "service_output", input);
    return String(body["output"]).trimEnd().split("\n").slice(-OUTPUT_LINES).join("\n").slice(-OUTPUT_CHARS);
  } catch (error) {
    if (error instanceof Fault) return "";
    throw error;
  }
}

async function lookAt(invocation: Invocation, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  return (await askNode(invocation, "service_get", input)).body;
}

/** Returns what became of a version; a text: what it waits for. */
function judge({ service, next }: Record<string, unknown>, version: number, artifact: unknown): Outcome | string {
  const shown = isJsonObject(service) ? service : {};
  const failed = isJsonObject(shown["deploy_failed"]) ? shown["deploy_failed"] : undefined;
  const copies = objectsOf(shown["copies"]);
  if (failed?.["version"] === version)
    return { outcome: "taken_back", text: `was taken back: ${cell(failed["reason"])}` };
  const inForce = Number(shown["version"]);
  if (inForce < version) return UNJUDGED;
  if (shown["artifact"] !== artifact || (failed !== undefined && inForce > version))
    return { outcome: "replaced", text: "has another version by now, which somebody else has given it" };
  const places = copies.map(({ name, node }) => cell(name ?? node ?? "")).filter((place) => place !== "");
  if (shown["deploying"] !== true && inForce > version)
    return { outcome: "ready", text: `is ready on ${places.join(", ")}` };
  return (Array.isArray(next) ? next : []).map(cell).join("; ");
}
