// `cairn deploy` in a fleet of whole nodes on a real tailnet: a web service gets three versions. The second replaces
// the first, the third is not ready and is taken back, the first comes back by hand, and the backup has it when the
// machine of the primary is killed.

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localHttp } from "../kit/agent.ts";
import { startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { freePort } from "../kit/free-port.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-deploy-"));
const log = join(folder, "log");
const port = freePort();
let fleet: Fleet;
let primary: FleetNode;
let backup: FleetNode;
/** Leads at first, and does not agree to run anything. */
let third: FleetNode;

/** Says which version it is, from a file beside it. One copy at a time has the port. */
const SERVER = `const { appendFileSync, readFileSync } = require("node:fs");
const version = readFileSync("version", "utf8").trim();
const say = (what) => appendFileSync(process.argv[3], what + " " + version + "\\n");
try { Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), fetch: (request) =>
  new URL(request.url).pathname === "/health" && version === "broken" ? new Response("no", { status: 500 })
    : Response.json({ version }) });
} catch { say("twice"); process.exit(1); }
say("begin");
console.log("serves", version);
process.on("SIGTERM", () => { say("end"); process.exit(0); });`;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, argsOf: (name) => (name === "central-1" ? [] : ["--fleet-run", "web"]) });
  third = fleet.nodes.find(({ name }) => name === "central-1") as FleetNode;
  [primary, backup] = fleet.nodes.filter((each) => each !== third) as [FleetNode, FleetNode];
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** Makes the folder of a version. */
function dist(version: string): string {
  const path = join(folder, version);
  mkdirSync(join(path, "bin"), { recursive: true });
  writeFileSync(join(path, "bin", "server.js"), SERVER);
  writeFileSync(join(path, "version"), version);
  return path;
}

const cairn = (...words: string[]) => third.process.cli(words, undefined, 90_000);

async function answers(version: string): Promise<void> {
  let seen = "";
  await eventually(
    `${version} answers`,
    async () => {
      const { status, body, text } = await localHttp(await third.socket(), "/svc/web/", {
        signal: AbortSignal.timeout(5000),
      });
      seen = text;
      return status === 200 && body["version"] === version;
    },
    { withinMs: 60_000, seen: () => seen },
  );
}

test("the first version: packed, copied, started where it belongs, and reached under its name", async () => {
  const where = ["--primary", primary.name, "--backup", backup.name];
  const how = ["--port", String(port), "--health", "/health", "--space", "team-a", "--within", "60"];
  const argv = [process.execPath, "bin/server.js", String(port), log];
  const { code, out, err } = await cairn("deploy", "web", dist("one"), ...where, ...how, "--", ...argv);
  expect([code, out, err]).toEqual([0, `web is ready on ${primary.name}\n`, expect.stringContaining("packed 2 files")]);
  await answers("one");
  await eventually("the backup has it unpacked", () => existsSync(join(backup.dataDir, "services", "web")));
  // A member that did not opt in has nothing of it.
  expect(existsSync(join(third.dataDir, "services"))).toBe(false);
}, 180_000);

test("the second replaces it; a third that is not ready is taken back, with the reason and exit code 3", async () => {
  const second = await cairn("deploy", "web", dist("two"), "--within", "60");
  expect([second.code, second.out, second.err]).toEqual([0, `web is ready on ${primary.name}\n`, second.err]);
  await answers("two");
  const third = await cairn("deploy", "web", dist("broken"), "--within", "8", "--json");
  expect([third.code, third.err]).toEqual([3, expect.stringContaining("wrote:\nserves broken\n")]);
  const { outcome, text } = JSON.parse(third.out) as Record<string, string>;
  expect(outcome).toBe("taken_back");
  expect(text).toContain("500");
  await answers("two");
  const shown = JSON.parse((await cairn("service", "get", "web", "--space", "team-a", "--json")).out);
  expect(shown.service.deploy_failed.reason).toContain("500");
}, 180_000);

test("by hand the first comes back; a member that does not agree gets nothing, and the version before goes on", async () => {
  const back = await cairn("service", "rollback", "web");
  expect([back.code, back.err]).toEqual([0, ""]);
  await answers("one");
  const sent = await cairn("deploy", "web", dist("two"), "--primary", third.name, "--within", "5");
  expect([sent.code, sent.out]).toEqual([3, expect.stringContaining("fleet.run")]);
  await answers("one");
  const lines = readFileSync(log, "utf8").trim().split("\n");
  expect(lines.filter((line) => line.startsWith("twice"))).toEqual([]);
  expect(lines.slice(0, 4)).toEqual(["begin one", "end one", "begin two", "end two"]);
  expect(existsSync(join(third.dataDir, "services"))).toBe(false);
}, 180_000);

test("the primary's machine is killed: the backup runs the version that it has unpacked", async () => {
  await eventually("it is confirmed there", async () => {
    const { service } = JSON.parse((await cairn("service", "get", "web", "--space", "team-a", "--json")).out);
    return service.state === "ready" && service.copies[0].name === primary.name && service.deploying !== true;
  });
  primary.kill();
  await eventually(
    "the backup has it",
    async () => {
      const { out } = await cairn("service", "get", "web", "--space", "team-a");
      return out.includes(`ready on ${backup.name}`);
    },
    { withinMs: 60_000 },
  );
  await answers("one");
}, 120_000);

test("a development node, which is on no tailnet, runs what is deployed", async () => {
  await using node = await startDevNode({ CAIRN_FLEET_RUN: "agent" });
  const program = join(folder, "sleeper");
  writeFileSync(program, "#!/bin/sh\necho up\nexec sleep 600\n");
  chmodSync(program, 0o755);
  const { code, out, err } = await node.cairn(["deploy", "agent", program, "--data", node.dataDir]);
  expect([code, out, err]).toEqual([0, "agent is ready on cairn\n", err]);
  const output = await node.cairn(["service", "output", "agent", "--data", node.dataDir]);
  expect(output.out).toBe("up\n");
}, 60_000);

test("what cannot be deployed is refused before anything is sent: exit code 2, what it is, and what to do", async () => {
  const path = dist("linked");
  symlinkSync("/etc/passwd", join(path, "link"));
  const refused = async (...words: string[]) => {
    const { code, out, err } = await cairn("deploy", ...words);
    expect([code, out]).toEqual([2, ""]);
    return err;
  };
  expect(await refused("web", path)).toMatch(/link is a symbolic link.*\n.*--exclude link/);
  writeFileSync(join(folder, "bad.tar"), "no archive".repeat(100));
  expect(await refused("web", join(folder, "bad.tar"))).toContain("archive is refused");
  expect(await refused("web", join(folder, "nowhere"))).toContain("Cannot read");
  const misnamed = await refused("My Web", path);
  expect(misnamed).toContain('not "My Web"');
  expect(misnamed).not.toContain("packed");
  mkdirSync(join(folder, "empty"));
  expect(await refused("web", join(folder, "empty"))).toContain("no file");
  expect(await refused("web", path, "--to", "web", "--primary", "a")).toContain("--to and --primary");
  expect(await refused("web", path, "--health", "https://example.com/")).toContain("--health is a path");
  expect(await refused("web", path, "--command", "sh -c 'a b'")).toContain("without a shell");
  // A program alone runs by its name; nobody agrees to run this service.
  const program = join(folder, "agent");
  writeFileSync(program, "#!/bin/sh\nexec sleep 600\n");
  chmodSync(program, 0o755);
  const alone = await cairn("deploy", "other", program, "--within", "3");
  expect([alone.code, alone.out]).toEqual([3, expect.stringContaining("fleet.run")]);
}, 120_000);
