// service_deploy and service_rollback: another artifact, and other fields, of a service, and the ones before it again.
// Both write the declaration, so they are versioned and need the rights of the space fleet.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { isJsonObject } from "../../lib/json-value.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { judgeValue } from "../../operation/judge-declared.ts";
import { KEPT_VERSIONS } from "./artifacts.ts";
import { SERVICE, type ServiceShape, withinSeconds } from "./declared.ts";
import { archiveOfTexts, MAX_FILES, putArchive } from "./deploy-files.ts";
import { beforeOf, objectOf } from "./deploying.ts";
import { DEFAULT_SPACE, serviceId, serviceName } from "./rows.ts";

/** Seconds until it must be ready, where the call does not say. */
const WITHIN_SECONDS = 120;
/** Longest call, files included. */
export const MAX_DEPLOY_BYTES = 1024 * 1024;
/** In place of the artifact whose files are not put yet. */
const NO_ARTIFACT = "0".repeat(64);
/** A declaration is not cut. */
const MAX_CHARS = 100_000;

const output = z.object({
  name: z.string(),
  space: z.string().describe("The space that it declares, for service_get."),
  version: z.number().int().describe("The new version of its declaration."),
  before: z.number().int().describe("The version that it goes back to; 0: none."),
  artifact: z.string().optional().describe("SHA-256 of the archive that it runs then."),
});
type Output = z.output<typeof output>;

/** Deploys a service. */
export const serviceDeploy = macro({
  name: "service_deploy",
  title: "Deploy a service",
  search: "roll out, release, ship a build, new version of a daemon, blue green",
  description:
    "Gives a service, or a new one, another version: files that you write here, or an archive that was put before as a blob of the space fleet. Its members unpack it as its folder. Once the member that runs it has it, the running one ends and the new one starts. If that is not ready in time, the declaration before comes back by itself. It returns at once: wait with event_wait for cairn.service.ready, or look with service_get. The steps are blob_put, blob_stat, declaration_list, context_get and context_put. `cairn deploy` packs a folder, puts it, calls this and waits.",
  input: z.object({
    name: serviceName,
    files: z
      .record(z.string().min(1).max(255), z.string())
      .refine((all) => Object.keys(all).length <= MAX_FILES, { message: `has more than ${MAX_FILES} files` })
      .optional()
      .describe("Texts by their path, such as bin/server.js; one that begins with #! can be run. Or artifact."),
    artifact: z
      .string()
      .regex(BLOB_HASH, "is a SHA-256 of 64 hex digits")
      .optional()
      .describe("SHA-256 of an archive that is a blob already."),
    declared: z
      .record(z.string().max(64), z.unknown())
      .optional()
      .describe("Fields of the declaration that change, such as argv, port, ready and where; null removes one."),
    within: withinSeconds.optional().describe(`Seconds until it must be ready (default ${WITHIN_SECONDS}).`),
  }),
  example: { name: "wiki", artifact: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
  samples: {
    files: { "bin/run": "#!/bin/sh\nexec sleep 60\n" },
    declared: { argv: ["./wiki"], port: 8080, ready: { http: "/health" } },
    within: 60,
  },
  maxInputBytes: MAX_DEPLOY_BYTES,
  output,
  access: { verb: "write", spaces: [DEFAULT_SPACE] },
  hints: { destructive: true },
  async run({ name, files, artifact: given, declared = {}, within = WITHIN_SECONDS }, steps) {
    refuseNothing(files, given);
    const contentOf = (base: Record<string, unknown>, artifact: string, before: number) => ({
      ...withoutNulls({ ...base, ...declared, artifact, enabled: null }),
      deploy: { before, within },
    });
    if (given !== undefined) await requireArtifact(steps, given);
    // Before files are copied, which takes its time.
    else judged(name, contentOf((await inForce(steps, name)).declared, NO_ARTIFACT, 0));
    const artifact = given ?? (await putArchive(steps, archiveOfTexts(files ?? {})));
    const now = await inForce(steps, name);
    // What was not ready yet is not what it goes back to.
    const before = isPending(now.declared) || now.declared["enabled"] === false ? beforeOf(now.declared) : now.version;
    return put(steps, name, contentOf(now.declared, artifact, before), before, [artifact, now.declared["artifact"]]);
  },
});

/** Takes a service back. */
export const serviceRollback = macro({
  name: "service_rollback",
  title: "Roll a service back",
  search: "undo a deploy, revert a release, previous version of a daemon",
  description:
    "Brings back the declaration of a service before its last deploy, with its artifact; again: the one before that. The steps are declaration_list, context_get, blob_stat and context_put.",
  input: z.object({ name: serviceName }),
  example: { name: "wiki" },
  output,
  access: { verb: "write", spaces: [DEFAULT_SPACE] },
  hints: { destructive: true },
  async run({ name }, steps) {
    const now = await inForce(steps, name);
    // The newest version, though the leader may not have judged it yet, or has refused it.
    const newest = await steps.tryAsk("context_get", { id: serviceId(name), max_chars: MAX_CHARS });
    const version = (newest instanceof Fault ? 0 : beforeOf(objectOf(newest))) || beforeOf(now.declared);
    if (version === 0 && newest instanceof Fault && newest.code === "not_found" && now.version === 0)
      throw new Fault("not_found", `There is no service ${JSON.stringify(name)}`, {
        hint: "service_list shows those that you may see.",
      });
    if (version === 0)
      throw new Fault("not_found", `The service ${name} has nothing to go back to`, {
        hint: `cairn context history ${serviceId(name)} shows the versions of its declaration; context_restore brings one back.`,
      });
    const old = objectOf(await steps.ask("context_get", { id: serviceId(name), version, max_chars: MAX_CHARS }));
    const { artifact } = old;
    if (typeof artifact === "string") await requireArtifact(steps, artifact);
    const before = beforeOf(old);
    return put(steps, name, { ...old, deploy: { before } }, before, [artifact, now.declared["artifact"]]);
  },
});

/** Throws Fault `invalid_input` where neither or both are given. */
function refuseNothing(files: Record<string, string> | undefined, artifact: string | undefined): void {
  const isEmpty = files === undefined || Object.keys(files).length === 0;
  if (isEmpty !== (artifact === undefined)) return;
  throw new Fault("invalid_input", isEmpty ? "There is nothing to deploy" : "files and artifact are both given", {
    hint: "Give files, texts by their path, or artifact, the SHA-256 of an archive that is a blob of the space fleet.",
    details: { field: "files" },
  });
}

function withoutNulls(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** Returns a declaration as its schema reads it. Throws Fault `invalid_input` for a wrong one. */
function judged(name: string, content: Record<string, unknown>): ServiceShape {
  const found = judgeValue(SERVICE, name, content);
  if ("value" in found) return found.value;
  throw new Fault("invalid_input", `The service ${name} cannot be declared so: ${found.problem}`, {
    hint: "Nothing was written. A new service needs declared.argv, the program and its words; declaration_kinds with the kind service shows all fields.",
    details: { field: "declared" },
  });
}

/** Throws Fault `not_found` where no blob is there. */
async function requireArtifact(steps: MacroSteps, sha256: string): Promise<void> {
  const found = await steps.tryAsk("blob_stat", { space: DEFAULT_SPACE, sha256 });
  if (!(found instanceof Fault)) return;
  if (found.code !== "not_found") throw found;
  throw new Fault("not_found", `There is no blob ${sha256} in the space ${DEFAULT_SPACE}`, {
    hint: `Put the archive first: cairn blob put FILE --space ${DEFAULT_SPACE}. \`cairn deploy\` does all of it.`,
    details: { field: "artifact" },
  });
}

/** Returns what is in force of a service; version 0: nothing. */
async function inForce(
  steps: MacroSteps,
  name: string,
): Promise<{ version: number; declared: Record<string, unknown> }> {
  const { declarations } = await steps.ask("declaration_list", { kind: SERVICE.kind });
  const found = (declarations as Record<string, unknown>[]).find((each) => each["name"] === name);
  const { in_force: version, declared } = found ?? {};
  return typeof version === "number" && isJsonObject(declared) ? { version, declared } : { version: 0, declared: {} };
}

function isPending({ deploy }: Record<string, unknown>): boolean {
  return isJsonObject(deploy) && deploy["within"] !== undefined;
}

/** Writes a declaration that refers to the artifacts that are kept: those named first, then those before. */
async function put(
  steps: MacroSteps,
  name: string,
  content: Record<string, unknown>,
  before: number,
  artifacts: readonly unknown[],
): Promise<Output> {
  const { space } = judged(name, content);
  const id = serviceId(name);
  const found = await steps.tryAsk("context_get", { id, max_chars: MAX_CHARS });
  if (found instanceof Fault && found.code !== "not_found") throw found;
  const metadata = found instanceof Fault || !isJsonObject(found["metadata"]) ? {} : found["metadata"];
  const earlier = Array.isArray(metadata["blobs"]) ? metadata["blobs"] : [];
  const blobs = [...new Set([...artifacts, ...earlier].filter((each) => typeof each === "string"))];
  const condition = found instanceof Fault ? { if_none_match: "*" } : { if_match: found["etag"] };
  const kept = { ...metadata, blobs: blobs.slice(0, KEPT_VERSIONS) };
  const { version } = await steps.ask("context_put", { id, content, metadata: kept, ...condition });
  const { artifact } = content;
  return { name, space, version: Number(version), before, ...(typeof artifact === "string" ? { artifact } : {}) };
}
