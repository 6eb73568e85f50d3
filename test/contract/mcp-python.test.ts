// Resources as the Python SDK of the older revisions meets them: it parses every URI, and lists none if one is invalid.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { install } from "../clients/install.ts";
import { MATRIX } from "../clients/matrix.ts";
import { startCore } from "../kit/core.ts";
import { AWKWARD_IDS } from "../kit/ids.ts";
import { startMcpServer } from "../kit/mcp-server.ts";

const NAME = "python-mcp-1";
const sdk = MATRIX[NAME];
if (sdk === undefined) throw new Error(`no client ${NAME}`);
const installed = install(NAME, sdk.package);
const python = "folder" in installed ? join(installed.folder, "bin", "python") : undefined;

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
    const { out, err } = await finished(child);
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
