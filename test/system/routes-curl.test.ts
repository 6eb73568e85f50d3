// The commands of "MCP by curl" in docs/routes.md, run as they are printed, against a development node.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { startDevNode } from "../kit/dev-node.ts";

const PAGE = join(dirname(dirname(import.meta.dir)), "docs", "routes.md");
const PRINTED_URL = "http://127.0.0.1:8470";
const lacking = Bun.which("curl") === null ? "curl" : undefined;

/** The shell blocks of the section. */
function blocks(): string[] {
  const section = readFileSync(PAGE, "utf8").split("\n## MCP by curl\n")[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
}

test.skipIf(lacking !== undefined)(`MCP by curl does what it says [needs ${lacking ?? "curl"}]`, async () => {
  const [newest = "", older = ""] = blocks();
  expect([newest, older].map((block) => block.split("curl -sS").length - 1)).toEqual([1, 4]);
  await using node = await startDevNode();
  await node.cairn(["context", "put", "team-a/plan", "--url", node.url], "# Ship");
  const run = async (block: string) => {
    const { code, out, err } = await node.bash(`set -e\n${block.replaceAll(PRINTED_URL, node.url)}`);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    return JSON.parse(out);
  };
  const listed = { structuredContent: { contexts: [{ id: "team-a/plan" }] } };
  expect(await run(newest)).toMatchObject({ id: 1, result: { ...listed, resultType: "complete" } });
  const [setUrl = ""] = newest.split("\n");
  const inSession = await run(`${setUrl}\n${older}`);
  expect(inSession).toMatchObject({ id: 2, result: listed });
  expect(inSession.result).not.toHaveProperty("resultType");

  // The session that it opened has ended: its id is not found afterwards.
  const status = `-o /dev/null -w '%{http_code}'`;
  const after = older.replace("curl -sS -X DELETE", `curl -sS ${status} -X DELETE`);
  const twice = `${setUrl}\n${after}\n${after.trimEnd().split("\n").at(-1) ?? ""}`;
  const { out } = await node.bash(`set -e\n${twice.replaceAll(PRINTED_URL, node.url)}`);
  expect(out.slice(-6)).toBe("200404");
});
