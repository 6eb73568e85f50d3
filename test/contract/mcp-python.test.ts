// Resources as the Python SDK of the older revisions meets them: it parses every URI, and lists none if one is invalid.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startCore } from "../kit/core.ts";
import { AWKWARD_IDS } from "../kit/ids.ts";
import { startMcpServer } from "../kit/mcp-server.ts";

/** The newest 1.x. */
const SDK = "mcp==1.30.0";
const root = join(import.meta.dir, "..", "..");
const python = await installed(join(root, ".cache", `python-${SDK}`));

/** Installs the SDK in an environment of its own; undefined where that does not work. */
async function installed(folder: string): Promise<string | undefined> {
  const found = Bun.which("python3");
  if (found === null) return undefined;
  const own = join(folder, "bin", "python");
  const importable = () => existsSync(own) && Bun.spawnSync([own, "-c", "import mcp"]).success;
  if (importable()) return own;
  for (const command of [
    [found, "-m", "venv", folder],
    [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK],
  ])
    if (!Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore", timeout: 180_000 }).success) return undefined;
  return importable() ? own : undefined;
}

test.skipIf(python === undefined)(
  "lists and reads every id under its own name [needs Python 3 with pip and its registry]",
  async () => {
    await using core = startCore();
    await using server = startMcpServer(core);
    for (const id of AWKWARD_IDS) await core.call("context_put", { id, content: `text of ${id}` });
    const child = Bun.spawn([python ?? "", join(import.meta.dir, "..", "kit", "list-resources.py"), server.url], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(err).toBe("");
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(rows).toEqual(
      AWKWARD_IDS.toSorted().map((id) => ({
        name: id,
        uri: expect.stringMatching(/^cairn:\/\/\//),
        host: "",
        target: id,
        text: `text of ${id}`,
        respelled: `text of ${id}`,
      })),
    );
  },
);
