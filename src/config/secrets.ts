// Reads the secrets of a node, for its tailnet, its fleet, its backup bucket, a proxy and models: from a variable, a
// file or a systemd credential, never from the command line. The caller registers them for redaction
// (observe/redact.ts).

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { readBounded } from "../lib/read-file.ts";
import { fileReason } from "../lib/reason-of.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";
import type { Environment } from "./environment.ts";
import { SECRET_VARIABLE } from "./secret-reference.ts";

/** Names of the auth key; the first that is set wins. */
const AUTH_KEY_NAMES = ["TS_AUTHKEY", "TS_AUTH_KEY", "TAILSCALE_AUTH_KEY"] as const;
const CLIENT_SECRET_NAME = "TS_CLIENT_SECRET";

const TICKET_NAME = "CAIRN_JOIN_TICKET";
const S3_ID_NAME = "CAIRN_S3_ACCESS_KEY_ID";
const S3_SECRET_NAME = "CAIRN_S3_SECRET_ACCESS_KEY";
const PROXY_NAME = "CAIRN_OUTBOUND_PROXY_CREDENTIALS";
const EMBEDDINGS_NAME = "CAIRN_EMBEDDINGS_KEY";
const CHAT_NAME = "CAIRN_CHAT_KEY";

/** Variables of the secrets that let a node join a tailnet. */
export const TAILNET_SECRET_NAMES: readonly string[] = [...AUTH_KEY_NAMES, CLIENT_SECRET_NAME];

/** Every variable whose value is a secret. */
export const SECRET_NAMES: readonly string[] = [
  ...TAILNET_SECRET_NAMES,
  TICKET_NAME,
  S3_ID_NAME,
  S3_SECRET_NAME,
  PROXY_NAME,
  EMBEDDINGS_NAME,
  CHAT_NAME,
];

const MAX_SECRET_BYTES = 4096;

/** Secrets for joining a tailnet and a fleet, and the keys of services that the node asks; all optional. */
export interface Secrets {
  authKey: string | undefined;
  clientSecret: string | undefined;
  s3?: S3Keys | undefined;
  /** `USER:PASSWORD` for the proxy of `outbound.proxy`. */
  proxyCredentials?: string | undefined;
  /** Keys of the services of `search.embeddings_url` and `process.chat_url`. */
  embeddingsKey?: string | undefined;
  chatKey?: string | undefined;
  /** A ticket as `cairn ticket` prints it. */
  joinTicket?: string | undefined;
  /** Where that text came from, for messages: the variable, or variable and file. */
  joinTicketFrom?: string | undefined;
}

/** Keys that sign requests to an S3-compatible service. */
export interface S3Keys {
  accessKeyId: string;
  secretAccessKey: string;
}

/** Reads the secrets. Throws Fault `config_invalid`, which names the variable or file and never the value. */
export function readSecrets(env: Environment): Secrets {
  const authKey = AUTH_KEY_NAMES.map((name) => readSecret(name, env)).find((value) => value !== undefined);
  const clientSecret = readSecret(CLIENT_SECRET_NAME, env);
  const joinTicket = readSecret(TICKET_NAME, env);
  const joinTicketFrom = secretOrigins(env).find(({ name }) => name === TICKET_NAME)?.origin;
  return {
    authKey,
    clientSecret,
    s3: readS3Keys(env),
    proxyCredentials: readCredentials(env),
    embeddingsKey: readSecret(EMBEDDINGS_NAME, env),
    chatKey: readSecret(CHAT_NAME, env),
    joinTicket,
    joinTicketFrom,
  };
}

/** Returns user and password of the proxy. */
function readCredentials(env: Environment): string | undefined {
  const found = readSecret(PROXY_NAME, env);
  if (found === undefined || found.indexOf(":") > 0) return found;
  throw new Fault("config_invalid", `${PROXY_NAME} must be USER:PASSWORD`, {
    hint: `Write the user, a colon and the password, in ${PROXY_NAME}_FILE or a systemd credential.`,
  });
}

function readS3Keys(env: Environment): S3Keys | undefined {
  const accessKeyId = readSecret(S3_ID_NAME, env);
  const secretAccessKey = readSecret(S3_SECRET_NAME, env);
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { accessKeyId, secretAccessKey };
  if (accessKeyId === secretAccessKey) return undefined;
  const [set, missing] = accessKeyId === undefined ? [S3_SECRET_NAME, S3_ID_NAME] : [S3_ID_NAME, S3_SECRET_NAME];
  throw new Fault("config_invalid", `${set} is set, but ${missing} is not`, {
    hint: `Set both, each as a variable, as ${missing}_FILE, or as a systemd credential.`,
  });
}

/** Calls `register` with every secret, so that log lines never show one. */
export function eachSecret(
  { authKey, clientSecret, s3, proxyCredentials, embeddingsKey, chatKey, joinTicket }: Secrets,
  register: (value: string | undefined) => void,
): void {
  const password = proxyCredentials?.slice(proxyCredentials.indexOf(":") + 1) || undefined;
  for (const value of [
    authKey,
    clientSecret,
    s3?.accessKeyId,
    s3?.secretAccessKey,
    proxyCredentials,
    password,
    embeddingsKey,
    chatKey,
    joinTicket,
  ])
    register(value);
}

/** Returns which secrets are set and where each comes from, without their values. */
export function secretOrigins(env: Environment): { name: string; origin: string }[] {
  return namesIn(env).flatMap((name) => {
    const credential = credentialFile(name, env);
    if (env[name]?.trim()) return [{ name, origin: name }];
    if (env[`${name}_FILE`]) return [{ name, origin: `${name}_FILE (${env[`${name}_FILE`]})` }];
    return credential === undefined ? [] : [{ name, origin: `systemd credential (${credential})` }];
  });
}

/** Returns the variables of the node's own secrets, and of those that declarations may name (named-secrets.ts). */
function namesIn(env: Environment): string[] {
  const named = Object.keys(env)
    .filter((name) => name.startsWith(SECRET_VARIABLE))
    .map((name) => name.replace(/_FILE$/, ""));
  return [...SECRET_NAMES, ...new Set(named)];
}

/**
 * Returns one line for each secret that is set twice, and for each secret file of this user that other users of the
 * machine can read.
 */
export function secretWarnings(env: Environment): string[] {
  const twice = namesIn(env).filter((name) => env[name]?.trim() && env[`${name}_FILE`]);
  return [
    ...twice.map((name) => `${name} and ${name}_FILE are set: ${name} is used, and the file is not read; unset one`),
    ...openSecretFiles(env),
  ];
}

function openSecretFiles(env: Environment): string[] {
  return namesIn(env).flatMap((name) => {
    const path = env[name]?.trim() ? undefined : env[`${name}_FILE`];
    const found = path ? statSync(path, { throwIfNoEntry: false }) : undefined;
    if (found === undefined || found.uid !== process.getuid?.() || (found.mode & 0o077) === 0) return [];
    const mode = (found.mode & 0o777).toString(8);
    return [`Other users can read the file of ${name}_FILE, ${path} (mode ${mode}): close it with chmod 600 ${path}`];
  });
}

/**
 * Throws Fault `invalid_input` if an argument is a secret or the name of one: every user of the machine can read
 * arguments.
 */
export function refuseSecretsOnArgv(argv: readonly string[]): void {
  for (const argument of argv) {
    const name =
      /^--?(?:(?:ts|tailscale)-?)?(auth-?key|client-?secret|(?:join-?)?ticket)(?:=|$)/i.exec(argument)?.[1] ??
      /^(?:-.*|CAIRN_OUTBOUND_)?(proxy[-_]?credentials)(?:=|$)/i.exec(argument)?.[1] ??
      /^(?:-.*|CAIRN_)?((?:embeddings|chat)[-_]?key)(?:=|$)/i.exec(argument)?.[1] ??
      /^(?:-.*|CAIRN_S3_)?(access[-_]?key[-_]?id|secret[-_]?access[-_]?key)(?:=|$)/i.exec(argument)?.[1];
    if (name === undefined && !/(^|=)(tskey|cairn-ticket)-/.test(argument)) continue;
    throw new Fault(
      "invalid_input",
      `A secret was given on the command line${name === undefined ? "" : ` (${name})`}`,
      {
        hint: `Arguments are visible to every user of this machine: set ${variableFor(name ?? argument)} instead, or the same name with _FILE to the path of a file. Treat the key as leaked and revoke it.`,
      },
    );
  }
}

/** Returns the variable for a secret that was named or given on the command line. */
function variableFor(words: string): string {
  const plain = words.toLowerCase();
  if (plain.includes("ticket")) return TICKET_NAME;
  if (plain.includes("proxy")) return PROXY_NAME;
  if (plain.includes("embeddings")) return EMBEDDINGS_NAME;
  if (plain.includes("chat")) return CHAT_NAME;
  if (!plain.includes("access")) return "TS_AUTHKEY";
  return plain.startsWith("secret") ? S3_SECRET_NAME : S3_ID_NAME;
}

/** Returns the secret of that name; undefined where it is not set. Throws Fault `config_invalid`. */
export function readSecret(name: string, env: Environment): string | undefined {
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
    value = withoutBom(textOfUtf8(readBounded(path, MAX_SECRET_BYTES), "it")).trim();
  } catch (cause) {
    const reason = fileReason(cause);
    throw new Fault("config_invalid", `Cannot read the secret from ${origin} (${path}): ${reason}`, {
      hint: "Name a file that this user can read and that contains only the key.",
    });
  }
  if (value === "" || /[\s\0]/.test(value)) {
    throw new Fault(
      "config_invalid",
      `The file of ${origin} (${path}) should contain one key, but ${value === "" ? "is empty" : "contains blanks"}`,
      { hint: "Write only the key into the file." },
    );
  }
  return value;
}
