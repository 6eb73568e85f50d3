// What a person sees who starts a node on a terminal and joins a tailnet: the eight lines and nothing before them.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { CANARY_KEY } from "../kit/leaks.ts";
import { cairnCommand } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";
import { temporaryFolder } from "../kit/temporary.ts";

test.skipIf(Bun.which("script") === null).each([
  ["with a key", { TS_AUTHKEY: CANARY_KEY }, /^tailnet +joined as seen\.cairn-test\.ts\.net \(100\./],
  ["without a key", {}, /^tailnet +log in: http:\/\/127\.0\.0\.1:/],
])(
  "%s: eight lines in which everything stands [needs script of util-linux]",
  async (_name, key, tailnetLine) => {
    await using tailnet = await TestTailnet.start();
    await tailnet.auth("key", { keys: [CANARY_KEY] });
    const home = temporaryFolder();
    const data = join(home, "data");
    const words = [...(await cairnCommand("source")), "serve", "--data", data, "--hostname", "seen"];
    const command = [...words, "--private-tailnet", "--control-url", tailnet.controlUrl].join(" ");
    const terminal = Bun.spawn({
      cmd: ["script", "-qec", command, "/dev/null"],
      env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, ...key },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    let text = "";
    const read = (async () => {
      for await (const chunk of terminal.stdout) text += new TextDecoder().decode(chunk);
    })();
    try {
      await eventually("the last of the eight lines", () => text.includes("next       cairn status"), {
        seen: () => text,
      });
    } finally {
      terminal.kill("SIGTERM");
      await Promise.all([read, terminal.exited]);
      await eventually("the node to end with its terminal", () => !existsSync(join(data, "cairn.pid")));
    }
    const lines = text.replaceAll("\r", "").split("\n");
    // A login that is needed is logged as well as printed, so that a service's log holds it.
    const shown = lines.filter((line) => !line.includes("Login needed")).slice(0, 8);
    const firstWords = ["cairn", "tailnet", "MCP", "agent", "REST", "data", "warnings", "next"];
    expect(shown.map((line) => line.split(/\s/, 1)[0] ?? "")).toEqual(firstWords);
    expect(shown[1]).toMatch(tailnetLine);
    expect(text).not.toContain(CANARY_KEY);
  },
  60_000,
);
