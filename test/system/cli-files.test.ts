// Files that are no plain files, for every command that takes one: `<(…)`, FIFOs, /dev/stdin and files of /proc, whose
// size is not known before they are read, and which can be read only once.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";

let node: DevNode;

beforeAll(async () => {
  node = await startDevNode();
  await node.bash('echo "# Plan" | $CAIRN context put team-a/plan');
}, 60_000);

afterAll(() => node[Symbol.asyncDispose]());

const JSON_TYPE = { "content-type": "application/json" };

async function stored(id: string): Promise<string> {
  return (await fetch(`${node.url}/contexts/${id}`)).text();
}

/** Each way in bash in which a command can get the output of another one as a file. */
const WAYS: readonly (readonly [name: string, line: (command: string, from: string) => string])[] = [
  ["<(…)", (command, from) => `${command} <(${from})`],
  ["/dev/stdin", (command, from) => `${from} | ${command} /dev/stdin`],
  ["/dev/fd/0", (command, from) => `${from} | ${command} /dev/fd/0`],
  [
    "a FIFO",
    (command, from) => `rm -f fifo; mkfifo fifo; (${from} > fifo) & ${command} fifo; code=$?; wait; exit $code`,
  ],
  ["a redirected /dev/stdin", (command, from) => `${from} > plain; ${command} /dev/stdin < plain`],
];

test.each(WAYS)("context put, patch and many read %s", async (_name, line) => {
  const put = await node.bash(line("$CAIRN context put team-a/piped", "head -c 300000 /dev/zero | tr '\\0' a"));
  expect(put).toMatchObject({ code: 0, err: "" });
  expect(await stored("team-a/piped")).toBe("a".repeat(300_000));
  await fetch(`${node.url}/contexts/team-a/state`, { method: "PUT", body: "{}", headers: JSON_TYPE });
  expect(await node.bash(line("$CAIRN context patch team-a/state", `echo '{"next":"ship"}'`))).toMatchObject({
    code: 0,
  });
  expect(await stored("team-a/state")).toBe('{"next":"ship"}');
  const many = JSON.stringify([{ operation: "context_put", id: "team-a/many", content: "m" }]);
  expect(await node.bash(line("$CAIRN context many", `echo '${many}'`))).toMatchObject({ code: 0 });
});

test.each(WAYS)("import and get --from read an export from %s", async (_name, line) => {
  const data = `--data ${node.dataDir}`;
  const from = `$CAIRN export ${data}`;
  const read = await node.bash(line("env -u CAIRN_URL $CAIRN context get team-a/plan --from", from));
  expect(read).toMatchObject({ code: 0, out: "# Plan\n" });
  const imported = await node.bash(line(`$CAIRN import ${data}`, from));
  expect(imported).toMatchObject({ code: 0, out: expect.stringContaining("existed already") });
});

test("the bound holds for what has no size: nothing is written", async () => {
  const { code, err } = await node.bash("$CAIRN context put team-a/endless <(cat /dev/zero)");
  expect([code, err]).toEqual([2, expect.stringContaining("has more than 8388608 bytes")]);
  expect((await fetch(`${node.url}/contexts/team-a/endless`)).status).toBe(404);
});

test("a file of /proc, whose size says 0, is read; a folder and nothing are refused with words", async () => {
  expect(await node.bash("$CAIRN context put team-a/proc /proc/self/status")).toMatchObject({ code: 0 });
  expect(await stored("team-a/proc")).toContain("VmRSS");
  for (const name of ["/", "nowhere"]) {
    const { code, err } = await node.bash(`$CAIRN context put team-a/none ${name}`);
    expect([code, err]).toEqual([2, expect.stringContaining(`Cannot read ${name}: `)]);
  }
});

test("an empty pipe is refused without --allow-empty, an empty file is not", async () => {
  writeFileSync(join(node.home, "empty.txt"), "");
  await node.bash("echo good | $CAIRN context put team-a/kept");
  for (const line of ["false | $CAIRN context put team-a/kept", "$CAIRN context put team-a/kept <(false)"]) {
    const { code, err } = await node.bash(line);
    expect([code, err]).toEqual([2, expect.stringMatching(/ is empty; nothing was written\n {2}try: .*--allow-empty/)]);
  }
  expect(await stored("team-a/kept")).toBe("good\n");
  expect(await node.bash("$CAIRN context put team-a/kept empty.txt")).toMatchObject({ code: 0 });
  expect(await stored("team-a/kept")).toBe("");
  expect(await node.bash(": | $CAIRN context put team-a/other - --allow-empty")).toMatchObject({ code: 0 });
  expect(await stored("team-a/other")).toBe("");
});

const FOLDER = "it is a folder, not a file";

test.each([
  ["$CAIRN context put team-a/none .", 2, FOLDER],
  ["$CAIRN context patch team-a/plan .", 2, FOLDER],
  ["$CAIRN context many .", 2, FOLDER],
  ["$CAIRN context get team-a/plan --from .", 2, FOLDER],
  ["$CAIRN import . --from cairn", 2, FOLDER],
  ["$CAIRN import .", 2, "What . is cannot be told: it has "],
  ["$CAIRN config validate --config .", 20, FOLDER],
  ["TS_AUTHKEY_FILE=. $CAIRN config validate", 20, FOLDER],
  ["CAIRN_CLI_GROUP=no-such-group $CAIRN config validate", 20, 'The group "no-such-group" of cli.group is not in'],
  ["$CAIRN restore nowhere --data restored --key .", 2, FOLDER],
  ["$CAIRN context put team-a/none nowhere", 2, "there is no such file or folder"],
  ["touch plain; $CAIRN context put team-a/none plain/x", 2, "a part of its path is a file, not a folder"],
  ["ln -sf loop loop; $CAIRN context put team-a/none loop", 2, "its symbolic links lead in a circle"],
  ["$CAIRN export --data data --to no-folder/x.jsonl", 1, "there is no such file or folder"],
])("%s says why in words", async (line, wanted, words) => {
  const { code, err } = await node.bash(line);
  expect([code, err]).toEqual([wanted, expect.stringContaining(words)]);
  expect(err).not.toMatch(/E[A-Z]{4,}:/);
});

test("settings, keys and the keys of backups come from a pipe as well, within their bounds", async () => {
  const shown = await node.bash(`$CAIRN config show --config <(echo 'hostname = "piped"')`);
  expect(shown).toMatchObject({ code: 0, out: expect.stringContaining("piped") });
  expect(await node.bash("$CAIRN config validate --config <(cat /dev/zero)")).toMatchObject({
    code: 20,
    err: expect.stringContaining("it has more than 1048576 bytes"),
  });
  const keyed = await node.bash("TS_AUTHKEY_FILE=<(echo tskey-auth-x-y) $CAIRN config validate");
  expect(keyed).toMatchObject({ code: 0 });
  expect(await node.bash("TS_AUTHKEY_FILE=/dev/zero $CAIRN config validate")).toMatchObject({
    code: 20,
    err: expect.stringContaining("it has more than 4096 bytes"),
  });
  const restored = await node.bash("$CAIRN restore nowhere --data restored --key <(echo '{}')");
  expect([restored.code, restored.err]).toEqual([2, expect.stringContaining("is not a key file")]);
});

test.each([
  // [what is stored under which name, its text, the type]
  ["log.jsonl", '{"line":1}\n', "text/plain"],
  ["tsconfig.jsonc", '{"a": 1}', "text/plain"],
  ["notes.ipynb", '{"cells":[]}', "application/x-ipynb+json"],
  ["table.csv", "a,b", "text/csv"],
  ["README.markdown", "# x", "text/markdown"],
  ["data.json", "[1]", "application/json"],
  ["release-1.0", '{"a":1}', "application/json"],
  ["plain", "a", "text/plain"],
])("the type of %s goes by its name, as a file and as an id, and the answer says it", async (name, text, type) => {
  writeFileSync(join(node.home, name), text);
  for (const words of [`team-a/of-file ${name}`, `team-a/${name}`]) {
    const { code, out } = await node.bash(`printf %s '${text}' | $CAIRN context put ${words}`);
    expect([code, out]).toEqual([0, expect.stringMatching(new RegExp(` etag \\S+ as ${RegExp.escape(type)}\\n$`))]);
  }
  const typed = await node.bash(`$CAIRN context put team-a/typed ${name} --type text/x-own --json`);
  expect(JSON.parse(typed.out)).toMatchObject({ content_type: "text/x-own" });
});

test("what goes through a pipe back into its context keeps the type, also against the end of its id", async () => {
  for (const id of ["team-a/piped-type", "team-a/piped.txt", "team-a/piped.json"]) {
    await node.bash(`printf '# Plan' | $CAIRN context put ${id} --type text/markdown`);
    const back = await node.bash(`$CAIRN context get ${id} | sed s/Plan/Goal/ | $CAIRN context put ${id}`);
    expect([back.code, back.out]).toEqual([0, expect.stringMatching(/version 2 .* as text\/markdown\n$/)]);
    const file = await node.bash(`$CAIRN context get ${id} > kept.tmp && $CAIRN context put ${id} kept.tmp`);
    expect([file.code, file.out]).toEqual([0, expect.stringMatching(/ as text\/markdown\n$/)]);
  }
  expect((await node.bash("printf a,b | $CAIRN context put team-a/piped-type --type text/csv")).out).toContain(
    "text/csv",
  );
});

test("what its name calls JSON and is none is refused with the flag that stores it", async () => {
  writeFileSync(join(node.home, "tsconfig.json"), '{ "strict": true } // always');
  const { code, err } = await node.bash("$CAIRN context put team-a/tsconfig tsconfig.json");
  expect([code, err]).toEqual([
    2,
    expect.stringContaining("tsconfig.json is application/json by its name, but not JSON"),
  ]);
  expect(err).toContain("--type text/plain");
});
