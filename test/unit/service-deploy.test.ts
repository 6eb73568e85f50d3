// Artifacts of services on several members, with real programs: versions beside each other, and members that cannot
// have one.

import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
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
  expect(readdirSync(join(fleet.folder, "data-a", "services", "web")).sort()).toEqual([one, two].sort());
  expect(existsSync(join(fleet.folder, "data-b", "services"))).toBe(false);
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
  await eventually("the reason names the hash", () => fleet.rows("web")[0]?.reason.includes(`not ${wrong}`));
  expect(await lines(fleet)).toBe("begin v1 of v1, end v1");
}, 60_000);
