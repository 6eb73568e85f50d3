// Signatures of Standard Webhooks: symmetric (v1) and ed25519 (v1a), over the id, the time of the attempt and the body.

import { createHmac, createPrivateKey, sign } from "node:crypto";
import { Fault } from "../../../lib/fault.ts";

const SYMMETRIC = "whsec_";
const ASYMMETRIC = "whsk_";
/** What a PKCS #8 document of an ed25519 key begins with, before the 32 bytes of its seed. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SEED_BYTES = 32;
const MIN_KEY_BYTES = 16;

/** What is signed. */
export interface SignedMessage {
  id: string;
  /** Of the attempt, in ms. */
  atMs: number;
  body: string;
}

/**
 * Returns the headers of a message, with one signature for each secret: two while one replaces another. A secret is
 * `whsec_` or `whsk_` and base64; Fault `config_invalid` names no part of it.
 */
export function signedHeaders({ id, atMs, body }: SignedMessage, secrets: readonly string[]): Record<string, string> {
  const timestamp = String(Math.floor(atMs / 1000));
  const content = `${id}.${timestamp}.${body}`;
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": secrets.map((secret) => signatureOf(content, secret)).join(" "),
  };
}

function signatureOf(content: string, secret: string): string {
  if (secret.startsWith(ASYMMETRIC)) return `v1a,${ed25519Of(content, secret.slice(ASYMMETRIC.length))}`;
  const key = Buffer.from(secret.startsWith(SYMMETRIC) ? secret.slice(SYMMETRIC.length) : secret, "base64");
  if (key.length < MIN_KEY_BYTES) throw wrongSecret();
  return `v1,${createHmac("sha256", key).update(content).digest("base64")}`;
}

function ed25519Of(content: string, encoded: string): string {
  const bytes = Buffer.from(encoded, "base64");
  // A seed, or a seed with the public key behind it.
  if (bytes.length !== SEED_BYTES && bytes.length !== 2 * SEED_BYTES) throw wrongSecret();
  const der = Buffer.concat([PKCS8_HEAD, bytes.subarray(0, SEED_BYTES)]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return sign(null, Buffer.from(content, "utf8"), key).toString("base64");
}

function wrongSecret(): Fault {
  return new Fault("config_invalid", "A secret of a webhook is no key of Standard Webhooks", {
    hint: "Write whsec_ and at least 16 bytes as base64, or whsk_ and an ed25519 key as base64.",
  });
}
