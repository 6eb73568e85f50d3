// cairn lease acquire|renew|release|wait|list|force: the commands that are one call each. `cairn lease run` and
// `cairn guard` are in src/cli/lease.

import { columns } from "../../lib/columns.ts";
import { type FeatureCommand, optionNumber, optionText } from "../../operation/feature-command.ts";
import { type Holder, holderText } from "./rows.ts";

/** A node may need this long beyond the wait itself, in seconds. */
const EXTRA_SECONDS = 30;
const MAX_TIMEOUT_SECONDS = 300;

const NAME = { name: "NAME", help: "such as team-a/repo/src/main.ts" } as const;
const FENCE = { name: "FENCE", help: "as cairn lease acquire printed it" } as const;

interface ShownHolder {
  caller: string;
  agent?: string;
}

interface Listed {
  name: string;
  held_by: ShownHolder;
  for: string;
  fence: string;
  since: string;
  ttl_seconds: number;
  waiting: number;
}

const acquire: FeatureCommand = {
  words: ["lease", "acquire"],
  summary: "lease a name, so that others keep away from it; prints the fence",
  more: "Renew it before its time is over, or let `cairn lease run NAME -- COMMAND` do that.",
  args: [NAME],
  options: [
    {
      flags: "--ttl <seconds>",
      help: "how long it lasts without a renewal, 5 to 86400 (default 300)",
      fills: "ttl_seconds",
    },
    { flags: "--for <text>", help: "what you need it for; others see it" },
    {
      flags: "--wait <seconds>",
      help: "if it is held, keep a place in the line for so long, at most 3600",
      fills: "wait_seconds",
    },
    { flags: "--fence <fence>", help: "go on with this claim: keep the place, or begin a new term" },
  ],
  operation: "lease_acquire",
  input: (words) => ({
    name: words.args[0],
    ...optionNumber(words, "ttl", "ttl_seconds"),
    ...optionNumber(words, "wait", "wait_seconds"),
    ...optionText(words, "for"),
    ...optionText(words, "fence"),
  }),
  show: ({ fence, granted, place }) =>
    granted === true ? `${fence}\n` : `${fence}\nnot granted yet: place ${place}\n`,
};

const renew: FeatureCommand = {
  words: ["lease", "renew"],
  summary: "begin a new term of a lease that you hold",
  args: [NAME, FENCE],
  operation: "lease_renew",
  input: ({ args }) => ({ name: args[0], fence: args[1] }),
  show: ({ safe_seconds, waiting }) => `yours for ${safe_seconds} s more; ${waiting} waiting\n`,
};

const release: FeatureCommand = {
  words: ["lease", "release"],
  summary: "give back a lease, or a place in the line for it",
  args: [NAME, FENCE],
  operation: "lease_release",
  input: ({ args }) => ({ name: args[0], fence: args[1] }),
  show: ({ released, granted_to }) =>
    released !== true
      ? "it had ended already\n"
      : granted_to === undefined
        ? "released\n"
        : `released, and granted to ${shownText(granted_to)}\n`,
};

const wait: FeatureCommand = {
  words: ["lease", "wait"],
  summary: "wait until a lease is free, or with a fence until it is yours; exits 3 when it is not in time",
  args: [NAME, { name: "[FENCE]", help: "of your claim in line" }],
  options: [
    {
      flags: "--timeout <seconds>",
      help: `how long, at most ${MAX_TIMEOUT_SECONDS} (default 20)`,
      fills: "timeout_seconds",
    },
  ],
  operation: "lease_wait",
  answerMs: (MAX_TIMEOUT_SECONDS + EXTRA_SECONDS) * 1000,
  input: (words) => ({
    name: words.args[0],
    ...(words.args[1] === undefined ? {} : { fence: words.args[1] }),
    ...optionNumber(words, "timeout", "timeout_seconds"),
  }),
  show: ({ state, place, held_by }) => {
    const by = held_by === undefined ? "" : ` by ${shownText(held_by)}`;
    return state === "waiting" ? `waiting at place ${place}; held${by}\n` : `${state}${by}\n`;
  },
  isNo: ({ state }) => state !== "free" && state !== "granted",
};

const list: FeatureCommand = {
  words: ["lease", "list"],
  summary: "show the leases that are held: by which caller, and what for",
  args: [{ name: "[PREFIX]", help: "only names that begin with this" }],
  options: [
    { flags: "--own", help: "only your own, with their fences" },
    { flags: "--limit <n>", help: "at most this many (default 100)" },
    { flags: "--cursor <cursor>", help: "the next page" },
  ],
  operation: "lease_list",
  input: (words) => ({
    ...(words.args[0] === undefined ? {} : { prefix: words.args[0] }),
    ...(words.options["own"] === true ? { own: true } : {}),
    ...optionNumber(words, "limit"),
    ...optionText(words, "cursor"),
  }),
  show: ({ leases }) => {
    const rows = (leases as readonly Listed[]).map((lease) => [
      lease.name,
      shownText(lease.held_by),
      lease.for,
      `since ${lease.since}`,
      lease.waiting === 0 ? "" : `${lease.waiting} waiting`,
      lease.fence,
    ]);
    return rows.length === 0 ? "no lease is held\n" : columns(rows);
  },
};

const force: FeatureCommand = {
  words: ["lease", "force"],
  summary: "take a lease away from its holder (operators)",
  more: "The holder may still work on what was leased. Only its writes with the fence are refused from now on.",
  args: [NAME],
  operation: "lease_force",
  input: ({ args }) => ({ name: args[0] }),
  show: ({ forced, held_by, granted_to }) => {
    if (forced !== true) return "it was not held\n";
    const next = granted_to === undefined ? "free now" : `granted to ${shownText(granted_to)}`;
    return `taken from ${shownText(held_by)}; ${next}\n`;
  },
};

/** The commands, in the order of the help. */
export const leaseCommands: readonly FeatureCommand[] = [acquire, renew, release, wait, list, force];

function shownText(holder: unknown): string {
  const { caller, agent = "" } = holder as ShownHolder;
  return holderText({ caller, agent } satisfies Holder);
}
