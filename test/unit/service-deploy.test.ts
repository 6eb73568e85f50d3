// Artifacts of services on several members, with real programs: versions beside each other, and members that cannot
// have one.

import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SERVICE } from "../../src/features/service/declared.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { archiveOf } from "../kit/archive.ts";
import { eventually } from "../kit/eventually.ts";
import { startServices } from "../kit/services.ts";

type Fleet = ReturnType<typeof startServices>;

/** A program that says its version, whether another one of it runs, and when it ends. */
const run = (version: string, end = "while :; do sleep 0.05; done") =>
  `#!/bin/sh
if [ -s "$1.pid" ] && kill -0 "$(cat "$1.pid")" 2>/dev/null; then echo "twice" >> "$1"; fi
echo $$ > "$1.pid"; echo "begin ${version} $(cat words)" >> "$1"
trap 'echo "end ${version}" >> "$1"; exit 0' TERM
${end}
`;

/** Makes a version known to the members; returns its hash. */
function put(fleet: Fleet, version: string, end?: string): string {
  const bytes = archiveOf([
    { name: "bin", kind: "folder" },
    { name: "bin/run", content: run(version, end), executable: true },
    { name: "words", content: `of ${version}` },
  ]);
  const sha256 = sha256Hex(bytes);
  fleet.blobs.set(sha256, bytes);
  return sha256;
}

const program = ({ folder }: Fleet) => ({ argv: ["./bin/run", join(folder, "log")], primary: "a", backoff: 0 });
/** The versions that a member has. */
function unpacked({ folder }: Fleet, member: string, name: string): string[] {
  const home = join(folder, `data-${member}`, "services", name);
  return existsSync(home) ? readdirSync(home) : [];
}
const lines = async (fleet: Fleet) => (await fleet.lines("log")).join(", ");

test("an artifact is the folder of its service; another one is unpacked beside it, and never runs beside it", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"] });
  const one = put(fleet, "v1");
  await fleet.declareService("web", { ...program(fleet), backups: ["b"], artifact: one });
  await fleet.ready("web", "a");
  const two = put(fleet, "v2");
  await fleet.declareService("web", { ...program(fleet), backups: ["b"], artifact: two });
  await eventually("the second runs", async () => (await lines(fleet)).includes("begin v2"));
  await fleet.ready("web", "a");
  expect(await lines(fleet)).toBe("begin v1 of v1, end v1, begin v2 of v2");
  expect(unpacked(fleet, "a", "web").sort()).toEqual([one, two].sort());
  // The backup has them too, and needs no other member when it is to start it.
  await eventually("the backup has both", () => unpacked(fleet, "b", "web").length === 2);
}, 60_000);

test("a member that cannot have it, or has other bytes, fails; the next member runs it", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"] });
  const one = put(fleet, "v1");
  fleet.lacking.add("a");
  await fleet.declareService("web", { ...program(fleet), backups: ["b"], artifact: one, attempts: 1 });
  await fleet.ready("web", "b");
  expect(await lines(fleet)).toBe("begin v1 of v1");
  const wrong = "0".repeat(64);
  fleet.blobs.set(wrong, fleet.blobs.get(one) as Uint8Array);
  await fleet.declareService("web", { ...program(fleet), backups: ["b"], artifact: wrong, attempts: 1 });
  await eventually("it says why it goes on as it was", async () =>
    (await fleet.get("web")).next.some((text) => text.includes(`not ${wrong}`)),
  );
  expect(await lines(fleet)).toBe("begin v1 of v1");
}, 60_000);

/** Deploys a version, and returns what the call answers. */
async function deploy(fleet: Fleet, version: string, more: Record<string, unknown> = {}, end?: string) {
  const artifact = put(fleet, version, end);
  await fleet.addBlob(artifact);
  const output = await fleet.call("service_deploy", { name: "web", artifact, ...more });
  await eventually("it is in force", () =>
    fleet.declarations.list(SERVICE).some(({ version: found }) => found >= Number(output["version"])),
  );
  return output;
}

async function shown(fleet: Fleet): Promise<Record<string, unknown>> {
  return (await fleet.get("web")).service as unknown as Record<string, unknown>;
}

test("deploys: the second replaces the first, the third is not ready and is taken back, the first comes back by hand", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"] });
  const declared = { ...program(fleet), space: "ops", attempts: 2 };
  const first = await deploy(fleet, "v1", { declared, within: 30 });
  expect(first).toMatchObject({ name: "web", version: 1, before: 0 });
  await fleet.ready("web", "a");
  await eventually("the first is confirmed", async () => (await shown(fleet))["deploying"] === undefined);
  const second = await deploy(fleet, "v2", { within: 30 });
  expect(second).toMatchObject({ before: 2 });
  await eventually("the second is confirmed", async () => {
    const { artifact, deploying, state } = await shown(fleet);
    return artifact === second["artifact"] && deploying === undefined && state === "ready";
  });
  const third = await deploy(fleet, "v3", { within: 30 }, "exit 7");
  await eventually("the third is taken back", async () => (await shown(fleet))["deploy_failed"] !== undefined);
  expect(await shown(fleet)).toMatchObject({
    artifact: second["artifact"],
    deploy_failed: { version: third["version"], reason: expect.stringContaining("exit code 7") },
  });
  await eventually("the second runs again", async () => (await lines(fleet)).endsWith("begin v2 of v2"));
  await fleet.ready("web", "a");
  expect(fleet.conditionText("deploy_failed")).toContain("web: all starts failed");
  expect(await fleet.call("service_rollback", { name: "web" })).toMatchObject({
    artifact: first["artifact"],
    before: 0,
  });
  await eventually("the first runs again", async () => (await lines(fleet)).endsWith("begin v1 of v1"));
  await fleet.ready("web", "a");
  await eventually("nothing is failed any more", () => !fleet.conditionText("deploy_failed")?.includes("web"));
  await expect(fleet.call("service_rollback", { name: "web" })).rejects.toMatchObject({ code: "not_found" });
  expect(await lines(fleet)).not.toContain("twice");
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
}, 90_000);

test("one that is not ready in time, or that nobody can have, is taken back; a first one runs nowhere then", async () => {
  await using fleet = startServices({ a: ["web"] });
  const never = { ready: { argv: ["false"] }, ready_timeout: 600 };
  const first = await deploy(fleet, "v1", { declared: { ...program(fleet), space: "ops", ...never }, within: 1 });
  await eventually("it is taken back", async () => (await shown(fleet))["deploy_failed"] !== undefined);
  await eventually("it runs nowhere", async () => (await shown(fleet))["state"] === "disabled");
  expect(await shown(fleet)).toMatchObject({
    deploy_failed: { version: first["version"], reason: expect.stringContaining("not ready within 1 s") },
  });
  const second = await deploy(fleet, "v2", { declared: { ready: null }, within: 30 });
  expect(second).toMatchObject({ before: 0 });
  await fleet.ready("web", "a");
  await eventually("it is confirmed", async () => (await shown(fleet))["deploying"] === undefined);
  // A file that says nothing of artifacts changes what it says, and no artifact.
  const declarations = [
    { kind: "service", name: "web", declared: { ...program(fleet), space: "ops", description: "x" } },
  ];
  const { steps } = (await fleet.call("declaration_apply", { declarations })) as { steps: { diff: string }[] };
  expect(steps[0]?.diff).not.toMatch(/^[-+].*artifact/m);
  await eventually("it says so", async () => (await shown(fleet))["description"] === "x");
  expect(await shown(fleet)).toMatchObject({ artifact: second["artifact"] });
  const wrong = [{ kind: "service", name: "web", declared: { ...program(fleet), user: "nobody" } }];
  await expect(fleet.call("declaration_apply", { declarations: wrong })).rejects.toMatchObject({
    message: expect.stringContaining("account of the node"),
  });
  fleet.lacking.add("a");
  await deploy(fleet, "v3", { within: 1 });
  await eventually("the second is back", async () => {
    const { artifact, deploy_failed: failed, state } = await shown(fleet);
    return artifact === second["artifact"] && failed !== undefined && state === "ready";
  });
  expect(await lines(fleet)).not.toContain("twice");
}, 90_000);

test("only who may write declarations deploys; what is no artifact or no service is refused, and nothing is written", async () => {
  await using fleet = startServices({ a: [] });
  const sha256 = put(fleet, "v1");
  for (const who of ["olga", "ray", "zoe"]) {
    const denied = { code: "forbidden" };
    await expect(fleet.as(who, "service_deploy", { name: "web", artifact: sha256 })).rejects.toMatchObject(denied);
    await expect(fleet.as(who, "service_rollback", { name: "web" })).rejects.toMatchObject(denied);
  }
  const given = { name: "web", artifact: sha256 };
  await expect(fleet.call("service_deploy", given)).rejects.toMatchObject({ code: "not_found" });
  await fleet.addBlob(sha256);
  const refusal = (declared: Record<string, unknown>, message: RegExp) =>
    expect(fleet.call("service_deploy", { ...given, declared })).rejects.toMatchObject({
      code: "invalid_input",
      message: expect.stringMatching(message),
    });
  await refusal({}, /either argv or unit/);
  await refusal({ argv: ["./run"], user: "web" }, /account of the node/);
  await refusal({ argv: ["./run"], folder: "/a/../.." }, /without \.\./);
  await expect(fleet.call("context_get", { id: "fleet/services/web" })).rejects.toMatchObject({ code: "not_found" });
}, 60_000);
