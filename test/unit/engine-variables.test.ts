// Variables that steer Bun inside the executable: a start with one is refused, with its name and the way out.

import { expect, test } from "bun:test";
import { runCommandLine } from "../../src/cli/program.ts";
import { refuseEngineVariables } from "../../src/config/engine-variables.ts";
import { FAULTS } from "../../src/lib/fault.ts";
import { refusal } from "../kit/refusal.ts";

test.each(["BUN_OPTIONS", "BUN_INSPECT", "BUN_CONFIG_VERBOSE_FETCH"])("a start with %s is refused", async (name) => {
  const start = async () => refuseEngineVariables({ PATH: "/bin", [name]: "--preload=/tmp/x.ts" });
  expect(await refusal(start())).toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining(name),
    hint: expect.stringContaining(`env -u ${name} cairn`),
  });
  expect(await runCommandLine(["version"], { [name]: "1" })).toBe(FAULTS.config_invalid.exit);
});

test("an empty value and other variables of Bun are no reason", () => {
  expect(() => refuseEngineVariables({ BUN_OPTIONS: "", BUN_INSTALL: "/opt/bun" })).not.toThrow();
});
