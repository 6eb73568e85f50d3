// What counts as a secret in a memory: keys of vendors by the prefixes that they publish, private keys, tokens,
// passwords in URLs, lines of .env files, values by their names (named-secrets.ts). Each rule returns the parts of a
// text to remove, in linear time. scrub.ts applies them.

import { isNamedSecret, namedSecrets, type Part } from "./named-secrets.ts";

/** A rule. */
export interface ScrubRule {
  /** Its name in settings, in answers, and in the text in place of a secret. */
  name: string;
  /** Returns the secrets in a text, in order, without overlaps. */
  find(text: string): Part[];
  /** Reports whether the text under a name in a JSON object is a secret. Undefined: names say nothing. */
  isSecretOf?(name: string, text: string): boolean;
}

/** Keys by their prefix. One starts where no word goes on, and each has a bound, so that a text takes linear time. */
const KEYS: Readonly<Record<string, string>> = {
  "anthropic-key": "sk-ant-[A-Za-z0-9_-]{20,300}",
  "openai-key": "sk-(?!ant-)[A-Za-z0-9_-]{20,300}",
  "aws-key": "(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
  "github-token": "(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})",
  "gitlab-token": "gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent)-[A-Za-z0-9_.-]{20,300}",
  "google-key": "(?:AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,100}|ya29\\.[A-Za-z0-9_-]{20,2000})",
  "slack-token": "(?:xox[abeoprs]-[A-Za-z0-9-]{10,300}|xapp-[A-Za-z0-9-]{10,300})",
  "slack-webhook": "https://hooks\\.slack\\.com/(?:services|workflows)/[A-Za-z0-9/_-]{10,200}",
  "stripe-key": "(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,300}|whsec_[A-Za-z0-9+/=]{20,200})",
  "sendgrid-key": "SG\\.[A-Za-z0-9_-]{16,64}\\.[A-Za-z0-9_-]{16,128}",
  "twilio-key": "SK[0-9a-f]{32}(?![A-Za-z0-9])",
  "npm-token": "npm_[A-Za-z0-9]{36}",
  "pypi-token": "pypi-[A-Za-z0-9_-]{50,1000}",
  "docker-token": "dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,100}",
  "huggingface-token": "hf_[A-Za-z0-9]{30,100}",
  "groq-key": "gsk_[A-Za-z0-9]{20,200}",
  "xai-key": "xai-[A-Za-z0-9]{20,200}",
  "replicate-token": "r8_[A-Za-z0-9]{30,100}",
  "perplexity-key": "pplx-[A-Za-z0-9]{30,100}",
  "digitalocean-token": "do[opr]_v1_[a-f0-9]{64}",
  "shopify-token": "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
  "databricks-token": "dapi[a-f0-9]{32}",
  "linear-key": "lin_api_[A-Za-z0-9]{30,100}",
  "vault-token": "hv[sbr]\\.[A-Za-z0-9_-]{24,300}",
  "telegram-token": "[0-9]{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
  "tailscale-key": "tskey-[a-z]{2,12}-[A-Za-z0-9]{6,40}(?:-[A-Za-z0-9]{10,100})?",
  "age-key": "AGE-SECRET-KEY-1[A-Z0-9]{58}",
  "agent-handle": "agent-[0-9a-f]{32}(?![A-Za-z0-9])",
  jwt: "eyJ[A-Za-z0-9_-]{8,1024}\\.eyJ[A-Za-z0-9_-]{4,8192}\\.[A-Za-z0-9_-]{8,4096}",
};

const BEGIN_KEY = /-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const END_KEY = /-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;

/** From the first line of a key to its last; to the end of the text where that is missing. */
function privateKeys(text: string): Part[] {
  const parts: Part[] = [];
  BEGIN_KEY.lastIndex = 0;
  for (let begin = BEGIN_KEY.exec(text); begin !== null; begin = BEGIN_KEY.exec(text)) {
    END_KEY.lastIndex = BEGIN_KEY.lastIndex;
    const end = END_KEY.exec(text) === null ? text.length : END_KEY.lastIndex;
    parts.push({ start: begin.index, end });
    BEGIN_KEY.lastIndex = end;
  }
  return parts;
}

/** A token has a digit: the word may go on in prose. */
const BEARER =
  /(?<![A-Za-z0-9])bearer[ \t]{1,8}(?=[A-Za-z0-9._~+/=-]{0,4096}[0-9])(?<secret>[A-Za-z0-9._~+/=-]{16,4096})/dgi;
const BASIC =
  /(?<![A-Za-z0-9-])authorization["']?[ \t]{0,8}[:=][ \t"']{0,8}basic[ \t]{1,8}(?<secret>[A-Za-z0-9+/=]{8,4096})/dgi;
const URL_PASSWORD =
  /(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}:\/\/[^\s/:@"'<>]{0,200}:(?<secret>[^\s/@"'<>]{1,400})@/dg;
/** A name in capitals at the beginning of a line, and its value with or without quotes. */
const ENV_LINE =
  /^[ \t]{0,40}(?:export[ \t]{1,8})?(?<name>[A-Z][A-Z0-9_]{0,100})=(?<secret>"[^"\n]{1,4096}"|'[^'\n]{1,4096}'|[^\s"'#][^\s#]{0,4095})/dgm;
const SECRET_NAME = /KEY|TOKEN|SECRET|PASSW|PASSPHRASE|PWD|CREDENTIAL|PRIVATE|AUTH/;
/** What stands for a value that is elsewhere. */
const PLACEHOLDER = /^["']?(?:\$|<|\.\.\.|x{3,}|\*{3,}|\[scrubbed:|secret:)/i;

type Groups = Record<string, string | undefined>;

/** Returns the groups `secret` of all matches that count. */
function secretsOf(text: string, pattern: RegExp, counts: (groups: Groups) => boolean = () => true): Part[] {
  const parts: Part[] = [];
  for (const { groups = {}, indices } of text.matchAll(pattern)) {
    const [start, end] = indices?.groups?.["secret"] ?? [0, 0];
    if (end > start && !PLACEHOLDER.test(groups["secret"] ?? "") && counts(groups)) parts.push({ start, end });
  }
  return parts;
}

function byPrefix(source: string): ScrubRule["find"] {
  const pattern = new RegExp(`(?<![A-Za-z0-9])(?<secret>${source})`, "dg");
  return (text) => secretsOf(text, pattern);
}

/** Every rule, in the order in which they are applied. */
export const SCRUB_RULES: readonly ScrubRule[] = [
  { name: "private-key", find: privateKeys },
  ...Object.entries(KEYS).map(([name, source]) => ({ name, find: byPrefix(source) })),
  { name: "bearer", find: (text) => [...secretsOf(text, BEARER)] },
  { name: "basic-auth", find: (text) => secretsOf(text, BASIC) },
  { name: "url-password", find: (text) => secretsOf(text, URL_PASSWORD) },
  { name: "env-line", find: (text) => secretsOf(text, ENV_LINE, ({ name = "" }) => SECRET_NAME.test(name)) },
  { name: "named-secret", find: namedSecrets, isSecretOf: isNamedSecret },
];
