// Secrets by the name before them: `password=…`, `api_key: …`, in any case, quoted or not, in prose, JSON and YAML.
// What values count is decided here. scrub-rules.ts has all rules.

/** A part of a text, from `start` up to `end`. */
export interface Part {
  start: number;
  end: number;
}

/** Longest value in characters. */
const MAX_VALUE = 512;
const NAMES =
  "pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|(?:api|access|secret|private|signing|encryption|auth|account|master)[_.-]?key";
/** A name that ends with what tells of a secret, and what assigns to it. It begins a word: so it takes linear time. */
const ASSIGNED = new RegExp(
  `(?<![\\w.-])[-_.]{0,3}(?<name>(?:[a-z0-9][\\w.-]{0,60}?)?)(?<kind>${NAMES})\\\\?["'\`]?(?<sign>[ \\t]{0,4}(?::=|=>|[:=：])[ \\t]{0,4})`,
  "gi",
);
const NAME = new RegExp(`(?:${NAMES})$`, "i");
const PASSWORD = /^p/i;
/** A word of prose goes on behind these: `bypass`, `compass`. */
const PASS = /^pass$/i;

/** What stands for a value that is elsewhere, or says which kind it is. */
const NO_VALUE =
  /^(?:\$|%|<|\{|\.\.\.|x{3,}|\*{3,}|\[?scrubbed:|secret:|(?:string|text|number|boolean|true|false|null|none|nil|undefined|required|optional|hidden|redacted|removed|masked|unset|empty|missing|unknown|expired|changed|rotated)\b)/i;
/** Paths, addresses and code. */
const REFERENCE =
  /^(?:[.~]?\/[\w.-]|[a-z][a-z0-9+.-]{1,20}:\/\/|(?:process|os|env|config|settings|self|this|ctx|args|options|opts|secrets|vars?|data|local|module|vault|import|req|request)[.[(])|^[\w.]{1,60}\(/i;
/** Where the next name of a list begins: `a=1&b=2`, `a=1,b=2`. */
const NEXT_NAME = /^[,;&]\s?\w{1,40}[=:]/;

/** Returns the values of secrets that have a name, in order. */
export function namedSecrets(text: string): Part[] {
  const parts: Part[] = [];
  ASSIGNED.lastIndex = 0;
  for (let found = ASSIGNED.exec(text); found !== null; found = ASSIGNED.exec(text)) {
    const { name = "", kind = "", sign = "" } = found.groups ?? {};
    if (name !== "" && PASS.test(kind) && !/[_.-]$/.test(name)) continue;
    const quoted = quotedAt(text, ASSIGNED.lastIndex);
    const part = quoted ?? bareAt(text, ASSIGNED.lastIndex);
    const value = text.slice(part.start, part.end);
    const isSecret = quoted === undefined ? isBareSecret(kind, value, sign === "=") : isQuotedSecret(value);
    if (!isSecret) continue;
    parts.push(part);
    ASSIGNED.lastIndex = part.end;
  }
  return parts;
}

/** Reports whether the text under a name in a JSON object is a secret. */
export function isNamedSecret(name: string, value: string): boolean {
  return NAME.test(name) && value.length <= MAX_VALUE && isQuotedSecret(value);
}

/** Returns the text between quotes that begin at `at`; undefined where none do, or they do not end on the line. */
function quotedAt(text: string, at: number): Part | undefined {
  const [quote] = /^\\?["'`]/.exec(text.slice(at, at + 2)) ?? [];
  if (quote === undefined) return undefined;
  const start = at + quote.length;
  const within = text.slice(start, start + MAX_VALUE + quote.length);
  for (let end = within.indexOf(quote); end >= 0; end = within.indexOf(quote, end + 1)) {
    // A quote behind a backslash is part of the value, unless such quotes are around it.
    if (quote.length === 1 && within[end - 1] === "\\") continue;
    return within.slice(0, end).includes("\n") ? undefined : { start, end: start + end };
  }
  return undefined;
}

/** Returns the run of characters without white space and quotes from `start` on, without the punctuation at its end. */
function bareAt(text: string, start: number): Part {
  const [run = ""] = /^[^\s"'`<>]*/.exec(text.slice(start, start + MAX_VALUE)) ?? [];
  for (let end = run.search(/[,;&]/); end >= 0 && end < run.length; end += 1) {
    if (NEXT_NAME.test(run.slice(end, end + 44))) return { start, end: start + end };
  }
  const kept = run.replace(/[,;.:)\]}\\]+$/, "");
  return { start, end: start + kept.length };
}

/** Between quotes is a value, unless it is prose: several words without a digit. */
function isQuotedSecret(value: string): boolean {
  if (value.trim().length < 4 || isElsewhere(value)) return false;
  return !/\s/.test(value.trim()) || /\p{N}/u.test(value);
}

/**
 * Without quotes a value has to look like one, since prose has such names too ("password: see the vault"): letters and
 * digits, or for a password a symbol. A password right behind `=` is none of prose.
 */
function isBareSecret(kind: string, value: string, isTight: boolean): boolean {
  if (isElsewhere(value)) return false;
  const hasDigit = /\p{N}/u.test(value);
  const hasLetter = /\p{L}/u.test(value);
  if (!PASSWORD.test(kind) || PASS.test(kind))
    return value.length >= (PASS.test(kind) ? 6 : 8) && hasDigit && hasLetter;
  if (isTight && value.length >= 4) return true;
  return value.length >= 6 && (hasDigit || (hasLetter && /[!@#$%^&*?+~]/.test(value)));
}

function isElsewhere(value: string): boolean {
  return NO_VALUE.test(value) || REFERENCE.test(value);
}
