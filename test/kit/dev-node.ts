// A development node (`cairn dev`) as a process, and the command line beside it, with an environment of the test.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { eventually } from "./eventually.ts";
import { cairnCommand, type Finished } from "./node.ts";

export interface DevNode extends AsyncDisposable {
  /** Its origin on 127.0.0.1. */
  url: string;
  dataDir: string;
  /** HOME and TMPDIR of node and commands; removed with it. */
  home: string;
  /** The words that run `cairn`. */
  command: readonly string[];
  /** Runs a command line with this text on stdin. */
  cairn(words: readonly string[], input?: string): Promise<Finished>;
  /** Ends it and starts it again with the same data and URL. */
  restart(): Promise<void>;
  /** Runs a line of bash, in which `$CAIRN` is the executable with its first words. */
  bash(line: string): Promise<Finished>;
}

/** Starts one from source with these variables besides PATH, HOME and TMPDIR, and waits until it is ready. */
export async function startDevNode(variables: Readonly<Record<string, string>> = {}): Promise<DevNode> {
  const command = await cairnCommand("source");
  const home = mkdtempSync(join(tmpdir(), "cairn-t-"));
  const dataDir = join(home, "data");
  mkdirSync(dataDir, { mode: 0o700 });
  const env = { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, ...variables };
  const start = async (port: string) => {
    const child = Bun.spawn({
      cmd: [...command, "dev", "--data", dataDir, "--port", port],
      cwd: home,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    let out = "";
    void (async () => {
      for await (const chunk of child.stdout) out += new TextDecoder().decode(chunk);
    })();
    const url = await eventually("the ready event", () =>
      out.includes("\n") ? String(JSON.parse(out.split("\n")[0] ?? "").url) : undefined,
    );
    return { child, url };
  };
  const end = async () => {
    node.child.kill("SIGTERM");
    await node.child.exited;
  };
  let node = await start("0");
  const { url } = node;
  const run = async (cmd: string[], more: Record<string, string>, input: string): Promise<Finished> => {
    const options = { cmd, cwd: home, env: { ...env, ...more }, stdin: new Blob([input]) };
    return { ...(await finished(Bun.spawn({ ...options, stdout: "pipe", stderr: "pipe" }))), signal: null };
  };
  return {
    url,
    dataDir,
    home,
    command,
    cairn: (words, input = "") => run([...command, ...words], {}, input),
    bash: (line) => run(["bash", "-c", line], { CAIRN: command.join(" "), CAIRN_URL: url }, ""),
    async restart() {
      await end();
      node = await start(new URL(url).port);
    },
    async [Symbol.asyncDispose]() {
      await end();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
