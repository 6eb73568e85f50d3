// Secrets that declarations name: where they are read, what is said where one is missing, and that an open file is
// named.

import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namedSecret } from "../../src/config/named-secrets.ts";
import { secretOrigins, secretWarnings } from "../../src/config/secrets.ts";

test("a secret comes from its variable, a file or a credential, and never from a secret of the node", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-secret-"));
  const path = join(folder, "hook");
  writeFileSync(path, "from-file\n", { mode: 0o600 });
  writeFileSync(join(folder, "CAIRN_SECRET_CRED"), "from-credential", { mode: 0o600 });
  const env = {
    CAIRN_SECRET_PLAIN: "from-variable",
    CAIRN_SECRET_HOOK_FILE: path,
    CREDENTIALS_DIRECTORY: folder,
    CAIRN_CHAT_KEY: "own-key",
    TS_AUTHKEY: "own-auth",
  };
  expect(namedSecret("secret:PLAIN", env)).toBe("from-variable");
  expect(namedSecret("secret:HOOK", env)).toBe("from-file");
  expect(namedSecret("secret:CRED", env)).toBe("from-credential");
  for (const name of ["CHAT_KEY", "CAIRN_CHAT_KEY", "TS_AUTHKEY", "MISSING"])
    expect(() => namedSecret(`secret:${name}`, env)).toThrow(`secret:${name} is not set on this node`);
  for (const text of ["PLAIN", "secret:plain", "secret:", "secret:A-B"])
    expect(() => namedSecret(text, env)).toThrow("is no reference to a secret");
  expect(secretOrigins(env).map(({ name }) => name)).toContain("CAIRN_SECRET_HOOK");
  expect(secretWarnings(env)).toEqual([]);
  chmodSync(path, 0o644);
  expect(secretWarnings(env)).toEqual([expect.stringContaining("CAIRN_SECRET_HOOK_FILE")]);
  rmSync(folder, { recursive: true });
});

test("a secret that is set twice is said, with the one that is used", () => {
  const twice = { CAIRN_SECRET_OTLP: "a", CAIRN_SECRET_OTLP_FILE: "/no/such/file", CAIRN_SECRET_ONE: "b" };
  expect(secretWarnings(twice)).toEqual([
    "CAIRN_SECRET_OTLP and CAIRN_SECRET_OTLP_FILE are set: CAIRN_SECRET_OTLP is used, and the file is not read; unset one",
  ]);
});
