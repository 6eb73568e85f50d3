// Removes secrets from log lines and conditions: fields with a secret name, values registered at the start, and texts
// that look like Tailscale keys.

const SECRET_NAME = /secret|token|password|passphrase|auth_?-?key|authorization|cookie|credential/i;
const TAILSCALE_KEY = /\btskey-[A-Za-z0-9-]+/g;
/** Shorter values are not registered: they would also match ordinary words. */
const MIN_SECRET_CHARS = 6;
const MAX_SECRETS = 64;
const REDACTED = "[redacted]";

const secrets: string[] = [];

/** Registers a secret value, which no line shows from now on. Never throws. */
export function registerSecret(value: string | undefined): void {
  if (value === undefined || value.length < MIN_SECRET_CHARS || secrets.includes(value)) return;
  secrets.push(value);
  if (secrets.length > MAX_SECRETS) secrets.shift();
}

/** Returns `text` without registered secrets and without Tailscale keys. */
export function redactText(text: string): string {
  let clean = text.replace(TAILSCALE_KEY, REDACTED);
  for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
  return clean;
}

/** Returns a copy of log fields in which secrets are replaced; deeper than four levels everything is. */
export function redactFields(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? value.toString() : value;
  if (depth >= 4) return "[deep]";
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => redactFields(item, depth + 1));
  if (value instanceof Error) return redactText(value.message);
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    SECRET_NAME.test(name) ? REDACTED : redactFields(inner, depth + 1),
  ]);
  return Object.fromEntries(entries);
}
