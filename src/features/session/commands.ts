// cairn session …, cairn say and cairn inbox: each a call of one operation.

import { authorText } from "../../lib/author-text.ts";
import { columns } from "../../lib/columns.ts";
import { counted } from "../../lib/counted.ts";
import { listed } from "../../lib/listed.ts";
import { printableLine } from "../../lib/printable.ts";
import { type FeatureCommand, optionNumber, optionText, optionTexts } from "../../operation/feature-command.ts";
import { mentionsIn } from "./names.ts";

const SESSION = { name: "SESSION", help: "its id, as cairn session list prints it" } as const;

interface Session {
  session: string;
  purpose: string;
  state: string;
  message_count: number;
  last_at?: string;
  created_at: string;
}

interface Message {
  message: string;
  posted_at: string;
  author: string;
  agent?: string;
  kind: string;
  text: string;
  text_cut?: true;
  visibility: string;
  to?: readonly string[];
  depth?: number;
  removed?: string;
  session: string;
  ack_wanted?: true;
  acks?: number;
  acked_by?: readonly { author: string; agent?: string }[];
}

const list: FeatureCommand = {
  words: ["session", "list"],
  summary: "list sessions, the most recently active first",
  options: [
    { flags: "--space <space>", help: "only sessions of this space" },
    { flags: "--state <state>", help: "only sessions in this state", offers: ["open", "closed"] },
    { flags: "--mine", help: "only sessions that you joined or wrote in" },
    { flags: "--cursor <cursor>", help: "the next page" },
  ],
  operation: "session_list",
  input: (words) => ({
    ...optionText(words, "space"),
    ...optionText(words, "state"),
    ...optionText(words, "cursor"),
    ...(words.options["mine"] === true ? { mine: true } : {}),
  }),
  show({ sessions }) {
    const rows = (sessions as readonly Session[]).map(({ session, purpose, state, message_count, ...row }) => [
      session,
      state,
      counted(message_count, "message"),
      row.last_at ?? row.created_at,
      printableLine(purpose),
    ]);
    return rows.length === 0 ? "there is no session that you may read\n" : columns(rows);
  },
};

const create: FeatureCommand = {
  words: ["session", "create"],
  summary: "begin a session; prints its id",
  args: [{ name: "PURPOSE", help: "what it is for, in a sentence" }],
  options: [{ flags: "--space <space>", help: "the space it belongs to (default: default)" }],
  operation: "session_create",
  input: (words) => ({ purpose: words.args[0], ...optionText(words, "space") }),
  show: ({ session }) => `${String(session)}\n`,
};

const show: FeatureCommand = {
  words: ["session", "show"],
  summary: "show the messages of a session, with replies below what they reply to",
  args: [SESSION],
  options: [
    { flags: "--limit <n>", help: "at most this many of the last messages (default 50)" },
    { flags: "--before <position>", help: "only messages before this position" },
    { flags: "--thread <message>", help: "only this message and the replies below it" },
  ],
  operation: "message_list",
  input: (words) => ({
    session: words.args[0],
    ...optionText(words, "before"),
    ...optionText(words, "thread"),
    ...optionNumber(words, "limit"),
  }),
  show({ messages, older }) {
    const more = older === undefined ? "" : `older: --before ${String(older)}\n`;
    return `${more}${(messages as readonly Message[]).map(shownMessage).join("")}` || "no message\n";
  },
};

const exported: FeatureCommand = {
  words: ["session", "export"],
  summary: "print a session as lines of JSON, with every version of the messages that you may read",
  args: [SESSION],
  options: [{ flags: "--cursor <cursor>", help: "the next page" }],
  operation: "session_export",
  input: (words) => ({ session: words.args[0], ...optionText(words, "cursor") }),
  show: ({ lines }) => (lines as readonly string[]).map((line) => `${line}\n`).join(""),
};

const close: FeatureCommand = {
  words: ["session", "close"],
  summary: "close a session: it takes no more messages",
  args: [SESSION],
  operation: "session_close",
  input: ({ args }) => ({ session: args[0] }),
  show: ({ changed }) => (changed === true ? "closed\n" : "it was closed already\n"),
};

const reopen: FeatureCommand = {
  words: ["session", "reopen"],
  summary: "open a closed session again",
  args: [SESSION],
  operation: "session_reopen",
  input: ({ args }) => ({ session: args[0] }),
  show: ({ changed }) => (changed === true ? "open\n" : "it was open already\n"),
};

const say: FeatureCommand = {
  words: ["say"],
  summary: "post a message in a session; prints its id",
  more: "Mention others as @name in the text: it appears in their inbox.",
  args: [SESSION, { name: "TEXT", help: "what you say" }],
  options: [
    { flags: "--kind <kind>", help: "text, plan, question, answer, decision, handoff, status, or another word" },
    { flags: "--to <name>", help: "an agent, login or tag that it is addressed to", repeated: true },
    { flags: "--private", help: "only you and those named with --to may read it", fills: "visibility" },
    { flags: "--reply <message>", help: "the message that it is a reply to", fills: "parent" },
    { flags: "--ack", help: "ask for an acknowledgement" },
  ],
  operation: "message_post",
  input: (words) => ({
    session: words.args[0],
    text: words.args[1],
    ...optionText(words, "kind"),
    ...optionText(words, "reply", "parent"),
    ...(Array.isArray(words.options["to"]) ? { to: words.options["to"] } : {}),
    ...(words.options["private"] === true ? { visibility: "private" } : {}),
    ...(words.options["ack"] === true ? { ack: true } : {}),
  }),
  addressed: (words) => [...optionTexts(words, "to"), ...mentionsIn(words.args[1] ?? "")],
  show: ({ message }) => `${String(message)}\n`,
};

const inbox: FeatureCommand = {
  words: ["inbox"],
  summary: "show the messages that name you, or wait for your acknowledgement",
  options: [
    { flags: "--since <position>", help: "only what came after this position" },
    { flags: "--unacknowledged", help: "only what waits for your acknowledgement" },
  ],
  operation: "inbox",
  input: (words) => ({
    ...optionText(words, "since"),
    ...(words.options["unacknowledged"] === true ? { unacknowledged: true } : {}),
  }),
  show({ messages, position }) {
    const shown = (messages as readonly Message[]).map((each) => `${each.session}\n${shownMessage(each)}`);
    return `${shown.join("") || "nothing\n"}go on with --since ${String(position)}\n`;
  },
};

const ack: FeatureCommand = {
  words: ["session", "ack"],
  summary: "acknowledge a message",
  args: [SESSION, { name: "MESSAGE", help: "its id", fills: "messages" }],
  operation: "message_ack",
  input: ({ args }) => ({ session: args[0], messages: [args[1]] }),
  show: ({ acknowledged }) =>
    (acknowledged as readonly string[]).length === 0 ? "it was acknowledged already\n" : "acknowledged\n",
};

/** The commands, in the order of the help. */
export const sessionCommands: readonly FeatureCommand[] = [
  list,
  create,
  show,
  exported,
  ack,
  close,
  reopen,
  say,
  inbox,
];

/** Returns a message with its replies' indent, so that no text can pass for the line of another author. */
function shownMessage({ depth = 0, ...row }: Message): string {
  const indent = "  ".repeat(Math.min(depth, 16));
  const about = [
    row.message,
    row.posted_at,
    authorText(row),
    ...(row.kind === "text" ? [] : [row.kind]),
    ...(row.visibility === "public" ? [] : [row.visibility]),
    ...(row.to === undefined ? [] : [`to ${row.to.join(", ")}`]),
    ...(row.ack_wanted === true ? [ackText(row)] : []),
  ].join("  ");
  const text = row.removed === undefined ? row.text : `(${row.removed})`;
  const lines = `${text}${row.text_cut === true ? " …" : ""}`.split(/\r\n|\r|\n/).map((line) => `${indent}  | ${line}`);
  return `${indent}${about}\n${lines.join("\n")}\n`;
}

function ackText({ acks = 0, acked_by: by = [] }: Message): string {
  if (acks === 0) return "wants an acknowledgement";
  const names = by.map(authorText);
  return `acknowledged by ${listed(acks > names.length ? [...names, `${acks - names.length} more`] : names)}`;
}
