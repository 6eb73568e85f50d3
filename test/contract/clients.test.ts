// The clients that most others are made of, or most people have, against a node: the SDKs of Python and TypeScript for
// the older revisions, and Claude Code with a scripted model. `npm run clients` runs all that are known.

import { expect, test } from "bun:test";
import { install } from "../clients/install.ts";
import { checkClient, MATRIX } from "../clients/matrix.ts";

const IN_GATE = ["python-mcp-1", "ts-sdk-1", "claude-code"];
const CLIENT_MS = 180_000;

for (const name of IN_GATE) {
  const client = MATRIX[name];
  if (client === undefined) throw new Error(`no client ${name}`);
  const isMissing = "missing" in install(name, client.package);
  test.skipIf(isMissing)(
    `${name} does all that it can [needs Python 3, and the registries of npm and PyPI]`,
    async () => {
      const outcomes = await checkClient(name, client);
      expect(outcomes.filter(({ result }) => result === "failed")).toEqual([]);
      const passed = outcomes.filter(({ result }) => result === "passed");
      expect(passed.map(({ check }) => check)).toEqual(
        expect.arrayContaining(["tools", "text", "long", "error", "wait", "restart"]),
      );
    },
    CLIENT_MS,
  );
}
