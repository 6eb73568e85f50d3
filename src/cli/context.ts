// cairn context get|put|list|delete: contexts by hand and in pipes. What a context is, the node decides.

import { extname } from "node:path";
import { Fault } from "../lib/fault.ts";
import { askNode } from "./client.ts";
import { type Command, textOption } from "./command.ts";
import { readStdin, readTextFile } from "./input.ts";
import { columns, writeData } from "./output.ts";

const id = { name: "ID", help: "such as team-a/plan" };
const ifMatch = { flags: "--if-match <etag>", help: "only if this is still its etag (see context list, or --json)" };

export const contextGet: Command = {
  words: ["context", "get"],
  summary: "print a context's content",
  args: [id],
  options: [{ flags: "--version <n>", help: "an earlier version" }],
  asksNode: true,
  async run(invocation) {
    const version = textOption(invocation, "version");
    const json = invocation.options["json"] === true;
    const answer = await askNode(invocation, "context_get", {
      id: invocation.args[0],
      ...(json ? {} : { format: "text" }),
      ...(version === undefined ? {} : { version: wholeNumber("--version", version) }),
    });
    const content = String(answer.body["content"]);
    // A terminal wants its prompt on a new line; a pipe wants the bytes.
    const end = process.stdout.isTTY === true && !content.endsWith("\n") ? "\n" : "";
    await writeData(json ? `${answer.text}\n` : content + end);
    return 0;
  },
};

export const contextPut: Command = {
  words: ["context", "put"],
  summary: "store a file, or what is piped in, as the next version of a context",
  more: "Examples:\n  echo 'ship on Friday' | cairn context put team-a/plan\n  cairn context put team-a/plan plan.md --if-match 7-1f3a9c0b22de",
  args: [id, { name: "[FILE]", help: "the file; - or nothing reads stdin" }],
  options: [
    { flags: "--type <type>", help: "content type; without it found by the file's name, or by the content" },
    { flags: "--title <text>", help: "a short title for lists" },
    { flags: "--tag <tag>", help: "a word to find it by; may be given several times", repeated: true },
    ifMatch,
    { flags: "--create", help: "only if there is no such context yet" },
    { flags: "--idempotency-key <key>", help: "repeat a write whose answer you missed" },
  ],
  asksNode: true,
  async run(invocation) {
    const [contextId, file = "-"] = invocation.args;
    const content = file === "-" ? await readStdin() : await readTextFile(file);
    const title = textOption(invocation, "title");
    const match = textOption(invocation, "ifMatch");
    const key = textOption(invocation, "idempotencyKey");
    const answer = await askNode(invocation, "context_put", {
      id: contextId,
      content,
      content_type: textOption(invocation, "type") ?? typeOf(file, content),
      ...(title === undefined ? {} : { title }),
      ...(invocation.options["tag"] === undefined ? {} : { tags: invocation.options["tag"] }),
      ...(match === undefined ? {} : { if_match: match }),
      ...(invocation.options["create"] === true ? { if_none_match: "*" } : {}),
      ...(key === undefined ? {} : { idempotency_key: key }),
    });
    const { version, etag } = answer.body;
    await writeData(
      invocation.options["json"] === true ? `${answer.text}\n` : `${contextId} version ${version} etag ${etag}\n`,
    );
    return 0;
  },
};

export const contextList: Command = {
  words: ["context", "list"],
  aliases: ["ls"],
  summary: "list the contexts you may see",
  args: [{ name: "[PREFIX]", help: "only ids that begin with this" }],
  options: [
    { flags: "--tag <tag>", help: "only with this tag" },
    { flags: "--limit <n>", help: "at most so many" },
    { flags: "--cursor <cursor>", help: "go on where an earlier list ended" },
  ],
  asksNode: true,
  async run(invocation) {
    const prefix = invocation.args[0];
    const tag = textOption(invocation, "tag");
    const limit = textOption(invocation, "limit");
    const cursor = textOption(invocation, "cursor");
    const answer = await askNode(invocation, "context_list", {
      ...(prefix === undefined ? {} : { prefix }),
      ...(tag === undefined ? {} : { tag }),
      ...(limit === undefined ? {} : { limit: wholeNumber("--limit", limit) }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (invocation.options["json"] === true) {
      await writeData(`${answer.text}\n`);
      return 0;
    }
    await writeData(columns(rowsOf(answer.body["contexts"])));
    const next = answer.body["next_cursor"];
    if (typeof next === "string") process.stderr.write(`cairn: there is more: --cursor ${next}\n`);
    return 0;
  },
};

export const contextDelete: Command = {
  words: ["context", "delete"],
  aliases: ["rm"],
  summary: "delete a context; its earlier versions stay readable by number",
  args: [id],
  options: [ifMatch],
  asksNode: true,
  async run(invocation) {
    const match = textOption(invocation, "ifMatch");
    const answer = await askNode(invocation, "context_delete", {
      id: invocation.args[0],
      ...(match === undefined ? {} : { if_match: match }),
    });
    await writeData(
      invocation.options["json"] === true
        ? `${answer.text}\n`
        : `${invocation.args[0]} deleted at version ${answer.body["version"]}\n`,
    );
    return 0;
  },
};

function rowsOf(contexts: unknown): string[][] {
  if (!Array.isArray(contexts)) return [];
  return contexts.map((item: Record<string, unknown>) =>
    ["id", "etag", "updated_at", "author", "title"].map((field) =>
      String(item[field] ?? "").replaceAll(/[\n\t]/g, " "),
    ),
  );
}

const TYPES: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".md": "text/markdown",
  ".txt": "text/plain",
};

/** By the file's name; else JSON for what is a JSON object or array, and plain text for the rest. */
function typeOf(file: string, content: string): string {
  const known = TYPES[extname(file).toLowerCase()];
  if (known !== undefined) return known;
  if (!/^\s*[[{]/.test(content)) return "text/plain";
  try {
    JSON.parse(content);
    return "application/json";
  } catch {
    return "text/plain";
  }
}

function wholeNumber(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Fault("invalid_input", `${option} should be a whole number, and is ${JSON.stringify(text)}`, {
    hint: `Give it as ${option} 3.`,
  });
}
