// Secrets in memories: what each rule finds and what it leaves, that it can be switched off, and that it takes linear
// time. Keys here are made up, and put together so that no scanner of repositories takes them for real ones.

import { expect, test } from "bun:test";
import { Scrubber } from "../../src/features/memory/scrub.ts";
import { SCRUB_RULES } from "../../src/features/memory/scrub-rules.ts";
import { computedMs } from "../kit/in-time.ts";

const word = (length: number, alphabet = "Ab3dEf9h") => alphabet.repeat(length).slice(0, length);
const hex = (length: number) => word(length, "0a1b2c3d");
const upper = (length: number) => word(length, "A2B3C4D5");

/** For each rule texts around secrets, which stand between « and ». */
const FOUND: Readonly<Record<string, readonly string[]>> = {
  "private-key": [
    `key: «-----BEGIN PRIVATE KEY-----\n${word(200)}\n-----END PRIVATE KEY-----» end`,
    `«-----BEGIN OPENSSH PRIVATE KEY-----\n${word(70)}\n-----END OPENSSH PRIVATE KEY-----»`,
    `«-----BEGIN RSA PRIVATE KEY-----\n${word(70)} which was cut»`,
    `«-----BEGIN PGP PRIVATE KEY BLOCK-----\n${word(70)}\n-----END PGP PRIVATE KEY BLOCK-----»`,
  ],
  "anthropic-key": [`use «sk-${"ant-"}api03-${word(80)}».`],
  "openai-key": [`«sk-${word(48)}»`, `OPENAI: «sk-${"proj-"}${word(60)}»`],
  "aws-key": [`(«AKIA${upper(16)}»)`, `«ASIA${upper(16)}» is temporary`],
  "github-token": [`«ghp_${word(36)}»`, `«github_${"pat_"}${word(40)}»`, `token=«gho_${word(36)}»`],
  "gitlab-token": [`«glpat-${word(20)}»`],
  "google-key": [`?key=«AIza${word(35)}»`, `«GOCSPX-${word(28)}»`, `«ya29.${word(60)}»`],
  "slack-token": [`«xoxb-${"123456789012"}-${word(24)}»`, `«xapp-1-${word(24)}»`],
  "slack-webhook": [`post to «https://hooks.slack.com/services/${upper(9)}/${upper(9)}/${word(24)}»`],
  "stripe-key": [`«sk_${"live_"}${word(24)}»`, `«rk_${"test_"}${word(24)}»`, `«whsec_${word(32)}»`],
  "sendgrid-key": [`«SG.${word(22)}.${word(43)}»`],
  "twilio-key": [`«SK${hex(32)}»`],
  "npm-token": [`«npm_${word(36)}»`],
  "pypi-token": [`«pypi-${word(80)}»`],
  "docker-token": [`«dckr_${"pat_"}${word(27)}»`],
  "huggingface-token": [`«hf_${word(34)}»`],
  "groq-key": [`«gsk_${word(52)}»`],
  "xai-key": [`«xai-${word(80)}»`],
  "replicate-token": [`«r8_${word(37)}»`],
  "perplexity-key": [`«pplx-${word(48)}»`],
  "digitalocean-token": [`«dop_v1_${hex(64)}»`],
  "shopify-token": [`«shpat_${hex(32)}»`],
  "databricks-token": [`«dapi${hex(32)}»`],
  "linear-key": [`«lin_${"api_"}${word(40)}»`],
  "vault-token": [`«hvs.${word(40)}»`],
  "telegram-token": [`bot «123456789:${word(35)}»`],
  "tailscale-key": [`«tskey-auth-${word(12)}-${word(32)}»`],
  "age-key": [`«AGE-SECRET-KEY-1${upper(58)}»`],
  "agent-handle": [`as «agent-${hex(32)}»`],
  jwt: [`«eyJ${word(30)}.eyJ${word(60)}.${word(43)}»`],
  bearer: [`Authorization: Bearer «${word(40)}»`, `curl -H "bearer «a1~${word(20)}»"`],
  "basic-auth": [`Authorization: Basic «${word(24)}==»`, `{"authorization": "Basic «${word(24)}»"}`],
  "url-password": [`postgres://app:«hunter2»@db.example.com/x`, `https://:«p4ss%20word»@example.com`],
  "env-line": [
    `A=1\nexport DB_PASSWORD=«hunter2» # the old one\nB=2`,
    `API_KEY=«"two words"»`,
    `  SESSION_SECRET=«'x y'»`,
  ],
  "named-secret": [
    ...[
      "password=«hunter2xyz»",
      "password: «S3cret!Pass99».",
      "Password = «hunter2xyz», then",
      "PassWord:«correct!horse»",
    ],
    ...[
      `{"password": "«correcthorse»", "user": "ann"}`,
      `{\\"password\\": \\"«hunter2»\\"}`,
      "db:\n  password: '«two words 2»'",
    ],
    ...["passwd=«letters»", "db_pass: «hunter2»", "--password=«hunter2xyz» --port=1", "the dbPassword := «x9!y8?z7»"],
    ...[`api_key=«${hex(16)}»`, `api-key: "«${hex(8)}»"`, `run with apiKey=«${hex(12)}»; it works`],
    ...[`?token=«${hex(16)}»&page=2`, `user=ann,secret=«${hex(16)}»,host=db`, `secretAccessKey => «a/${word(20)}»`],
    ...[`client_secret: «${word(20)}»)`, `X-Auth-Token: «${hex(32)}»`, `docker run -e DB_PASSWORD=«hunter2» app`],
  ],
};

/** Texts in which there is nothing to find. */
const LEFT = [
  "sk-learn and task-force; risk-ant-hill; the sk- prefix",
  "a bearer authentication scheme, the bearer responsibilities-of-others",
  "https://example.com:8080/a@b and user@example.com, ssh://git@example.com",
  "PATH=/usr/bin\nLANG=C\nKEYBOARD",
  "API_KEY=$OTHER\nTOKEN=<yours>\nSECRET=...\nPASSWORD=$" + "{PASSWORD}\nAPI_TOKEN=secret:github",
  "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
  `sha ${hex(64)}, commit ${hex(40)}, ${word(200)}`,
  "eyJhbGciOiJIUzI1NiJ9 alone, agent-1234, AKIA and ASIA",
  "2026-01-31T12:00:00Z 10:30:00 1234567890",
  "password: see the vault; the password is in the vault; Secret: Ann likes tea; token: it ends hourly",
  'password: "see the vault", {"token": "string", "password": null, "secret": ""}, passwords: two1234 of them',
  "password=$PASSWORD password=<yours> token=$" + "{{ secrets.TOKEN_1 }} secret: [scrubbed:jwt]",
  "token = getToken(2) password=getpass.getpass() api_key = process.env.API_KEY_2 pwd=/srv/app1",
  "max_tokens: 4096abcd, token_count=12345678a, compass: north12, bypass=abc1234, monkey=abc12345, key: abc12345",
  "pass: 12 tests, token: 4096, secret: https://vault.example.com/v1/x, password_file=/run/secrets/db1",
];

test("every rule has examples", () => {
  expect(Object.keys(FOUND).sort()).toEqual(SCRUB_RULES.map(({ name }) => name).sort());
});

test.each(Object.entries(FOUND))(
  "%s: the secret is removed, what is around it stays, unless it is switched off",
  (rule, texts) => {
    for (const marked of texts) {
      const text = marked.replace(/[«»]/g, "");
      const scrubber = new Scrubber([]);
      const clean = scrubber.text(text);
      expect(clean).toBe(marked.replace(/«[^»]*»/g, `[scrubbed:${rule}]`));
      expect(scrubber.found).toEqual([{ rule, count: 1 }]);
      const secret = /«([^»]*)»/.exec(marked)?.[1] ?? "";
      expect(JSON.stringify(scrubber.found)).not.toContain(secret);
      // Again it finds nothing.
      const again = new Scrubber([]);
      expect([again.text(clean), again.found]).toEqual([clean, []]);
      const others = SCRUB_RULES.map(({ name }) => name).filter((name) => name !== rule);
      expect(new Scrubber(others).text(text)).toBe(clean);
      expect(new Scrubber(["all"]).text(text)).toBe(text);
      const off = new Scrubber([rule]);
      off.text(text);
      expect(off.found.some((each) => each.rule === rule)).toBe(false);
    }
  },
);

test("what is no secret stays as it is", () => {
  for (const text of LEFT) {
    const scrubber = new Scrubber([]);
    expect([scrubber.text(text), scrubber.found]).toEqual([text, []]);
  }
});

test("values are scrubbed at every depth, and counted by rule", () => {
  const key = `ghp_${word(36)}`;
  const scrubber = new Scrubber([]);
  const value = { a: [key, { [key]: `x ${key} ${key}` }], n: 1, t: true, z: null };
  const mark = "[scrubbed:github-token]";
  expect(scrubber.value(value)).toEqual({ a: [mark, { [mark]: `x ${mark} ${mark}` }], n: 1, t: true, z: null });
  expect(scrubber.found).toEqual([{ rule: "github-token", count: 4 }]);
});

test("a text is a secret by the name of its member in an object", () => {
  const scrubber = new Scrubber([]);
  const mark = "[scrubbed:named-secret]";
  const value = { password: "hunter2", a: [{ apiKey: "abcdefgh", token: "see the vault" }], token_count: "12345678a" };
  expect(scrubber.value(value)).toEqual({ ...value, password: mark, a: [{ apiKey: mark, token: "see the vault" }] });
  expect(scrubber.found).toEqual([{ rule: "named-secret", count: 2 }]);
  expect(new Scrubber(["named-secret"]).value(value)).toEqual(value);
});

test.each([
  ["eyJ".repeat(500_000)],
  ["-eyJ".repeat(375_000)],
  ["_sk-".repeat(375_000)],
  ["eyJabcdefghij.eyJ".repeat(80_000)],
  ["-----BEGIN PRIVATE KEY-----".repeat(50_000)],
  ["a://b:".repeat(250_000)],
  ["bearer ".repeat(200_000)],
  [`A=${"x".repeat(1_500_000)}`],
  ["KEY=\n".repeat(300_000)],
  ["sk-ant-".repeat(200_000)],
  ["password=".repeat(160_000)],
  [`password: "`.repeat(130_000)],
  [`pwd=${"a,".repeat(700_000)}`],
  [`pwd=a,b;`.repeat(180_000)],
  ["a_".repeat(750_000)],
  [" a.passwor".repeat(150_000)],
  ["0".repeat(1_500_000)],
])("a text of 1.5 MB that is made to take long does not", (text) => {
  const startMs = computedMs();
  new Scrubber([]).text(text);
  expect(computedMs() - startMs).toBeLessThan(3000);
});
