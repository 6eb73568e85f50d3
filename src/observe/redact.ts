// Keeps secrets out of every line: by the name of a field, by the values registered at start, and by the shape of Tailscale keys.

const NAMES = /secret|token|password|passphrase|auth_?-?key|authorization|cookie|credential/i;
const KEY_SHAPE = /\btskey-[A-Za-z0-9-]+/g;
/** A registered value shorter than this would blot out ordinary words. */
const MIN_SECRET_CHARS = 6;
const MAX_SECRETS = 64;
const REDACTED = "[redacted]";

const secrets: string[] = [];

/** Registers a secret value; from now on no line shows it. Returns nothing and never throws. */
export function registerSecret(value: string | undefined): void {
  if (value === undefined || value.length < MIN_SECRET_CHARS || secrets.includes(value)) return;
  secrets.push(value);
  if (secrets.length > MAX_SECRETS) secrets.shift();
}

/** `text` without registered secrets and without anything that looks like a Tailscale key. */
export function redactText(text: string): string {
  let clean = text.replace(KEY_SHAPE, REDACTED);
  for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
  return clean;
}

/** A copy of log fields in which secret names and values are replaced, four levels deep. */
export function redactFields(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? value.toString() : value;
  if (depth >= 4) return "[deep]";
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => redactFields(item, depth + 1));
  if (value instanceof Error) return redactText(value.message);
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    NAMES.test(name) ? REDACTED : redactFields(inner, depth + 1),
  ]);
  return Object.fromEntries(entries);
}
