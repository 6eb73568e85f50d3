// The keys that let a node join a tailnet: by variable, by file, or as a systemd credential, and never on the command line.
// They are handed over once and registered for redaction (observe/redact.ts) by whoever reads them.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import type { Environment } from "./load.ts";

/** Names of auth keys, the first that is set wins. */
const AUTH_KEY_NAMES = ["TS_AUTHKEY", "TS_AUTH_KEY", "TAILSCALE_AUTH_KEY"] as const;
const CLIENT_SECRET_NAME = "TS_CLIENT_SECRET";

/** Every variable that holds a secret itself. */
export const SECRET_NAMES: readonly string[] = [...AUTH_KEY_NAMES, CLIENT_SECRET_NAME];

const MAX_SECRET_BYTES = 4096;

/** What a node may join with; both may be absent. */
export interface Secrets {
  authKey: string | undefined;
  clientSecret: string | undefined;
}

/** Reads the secrets. Throws Fault `config_invalid` that names the place and never the value. */
export function readSecrets(env: Environment): Secrets {
  const authKey = AUTH_KEY_NAMES.map((name) => readSecret(name, env)).find((value) => value !== undefined);
  return { authKey, clientSecret: readSecret(CLIENT_SECRET_NAME, env) };
}

/** Which secrets are set and where each comes from; never a value. */
export function secretOrigins(env: Environment): { name: string; origin: string }[] {
  return SECRET_NAMES.flatMap((name) => {
    const credential = credentialFile(name, env);
    if (env[name]?.trim()) return [{ name, origin: name }];
    if (env[`${name}_FILE`]) return [{ name, origin: `${name}_FILE (${env[`${name}_FILE`]})` }];
    return credential === undefined ? [] : [{ name, origin: `systemd credential (${credential})` }];
  });
}

/** Throws Fault `invalid_input` if an argument is, or names, a secret: arguments are readable by every user of the machine. */
export function refuseSecretsOnArgv(argv: readonly string[]): void {
  for (const argument of argv) {
    const name = /^--?(?:(?:ts|tailscale)-?)?(auth-?key|client-?secret)(?:=|$)/i.exec(argument)?.[1];
    if (name === undefined && !/(^|=)tskey-/.test(argument)) continue;
    throw new Fault(
      "invalid_input",
      `A secret was given on the command line${name === undefined ? "" : ` (${name})`}`,
      {
        hint: "Arguments are visible to every user: set TS_AUTHKEY, or TS_AUTHKEY_FILE to a file that holds it. Treat the key as leaked and revoke it.",
      },
    );
  }
}

function readSecret(name: string, env: Environment): string | undefined {
  const direct = env[name]?.trim();
  if (direct) return direct;
  const file = env[`${name}_FILE`];
  if (file) return readSecretFile(file, `${name}_FILE`);
  const credential = credentialFile(name, env);
  return credential === undefined ? undefined : readSecretFile(credential, "the systemd credential");
}

function credentialFile(name: string, env: Environment): string | undefined {
  const folder = env["CREDENTIALS_DIRECTORY"];
  const path = folder ? join(folder, name) : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}

function readSecretFile(path: string, origin: string): string {
  let value: string;
  try {
    if (statSync(path).size > MAX_SECRET_BYTES) throw new Error(`it has more than ${MAX_SECRET_BYTES} bytes`);
    value = readFileSync(path, "utf8").trim();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("config_invalid", `Cannot read the secret from ${origin} (${path}): ${reason}`, {
      hint: "Name a file that this user can read and that holds only the key.",
    });
  }
  if (value === "" || /[\s\0]/.test(value)) {
    throw new Fault(
      "config_invalid",
      `The file of ${origin} (${path}) should hold one key, and ${value === "" ? "is empty" : "holds blanks"}`,
      {
        hint: "Write only the key into the file.",
      },
    );
  }
  return value;
}
