// Removes secrets from log lines and conditions: fields with a secret name, values registered at the start, and texts
// that look like Tailscale keys.

const SECRET_NAME = /secret|token|password|passphrase|auth_?-?key|authorization|cookie|credential/i;
const TAILSCALE_KEY = /\btskey-[A-Za-z0-9-]+/g;
/** Shorter values are not registered: they would also match ordinary words. */
const MIN_SECRET_CHARS = 6;
const MAX_SECRETS = 256;
/** An end of a secret that is shorter says nothing. */
const MIN_END_CHARS = 4;
const REDACTED = "[redacted]";

/** By age. */
const secrets: string[] = [];
/** Them, and what JSON writes of some otherwise; the longest first, since one may be a part of another. */
let forms: readonly string[] = [];

/** Registers a secret value, which no line shows from now on. Never throws. */
export function registerSecret(value: string | undefined): void {
  if (value === undefined || value.length < MIN_SECRET_CHARS || secrets.includes(value)) return;
  secrets.push(value);
  if (secrets.length > MAX_SECRETS) secrets.shift();
  const all = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  forms = [...new Set(all)].sort((one, other) => other.length - one.length);
}

/** Returns `text` without registered secrets and without Tailscale keys. A text is cut only after that. */
export function redactText(text: string): string {
  let clean = text.replace(TAILSCALE_KEY, REDACTED);
  for (const secret of forms) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
  return clean;
}

/** Returns the same of a text whose beginning was cut off, perhaps within a secret. */
export function redactTail(text: string): string {
  const begin = /^\uFFFD*/.exec(text)?.[0].length ?? 0;
  const ends = forms.flatMap((secret) => {
    // The longest end of it that the text begins with.
    for (let at = 1; at <= secret.length - MIN_END_CHARS; at += 1)
      if (text.startsWith(secret.slice(at), begin)) return [secret.length - at];
    return [];
  });
  const length = Math.max(0, ...ends);
  return redactText(length === 0 ? text : `${REDACTED}${text.slice(begin + length)}`);
}

/** Returns the same of a text whose end was cut off, perhaps within a secret. */
export function redactCut(text: string): string {
  const begins = forms.flatMap((secret) => {
    for (let length = secret.length - 1; length >= MIN_END_CHARS; length -= 1)
      if (text.endsWith(secret.slice(0, length))) return [length];
    return [];
  });
  const length = Math.max(0, ...begins);
  return redactText(length === 0 ? text : `${text.slice(0, -length)}${REDACTED}`);
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
