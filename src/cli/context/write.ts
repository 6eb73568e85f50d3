// cairn context put|patch|delete|restore|purge|many: the commands that write contexts.

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { wholeNumber } from "../../lib/whole-number.ts";
import { noteUnknown } from "../addressees.ts";
import { askNode } from "../client.ts";
import { type Command, countOption, given, type Invocation, isSet, textOption, textsOption } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { isRereadable, parseJsonInput, readInput, refuseNoJson, typeByName, typeOfFile } from "../input.ts";
import { objectsOf, say, showAnswer } from "../output.ts";
import { editContext } from "./edit.ts";
import {
  conditionsOf,
  details,
  detailsOf,
  fence,
  idArgument,
  idempotencyKey,
  ifMatch,
  readers,
  readersOf,
  titleAndTags,
  titleAndTagsOf,
  writtenLine,
} from "./shared-options.ts";

const fileArgument = { name: "[FILE]", help: "the file; - or nothing reads stdin", offers: "files" } as const;

/** `cairn context put`. */
export const contextPut: Command = {
  words: ["context", "put"],
  summary: "store a file or stdin as the next version of a context",
  more: `Examples:
  echo 'ship on Friday' | cairn context put team-a/plan
  cairn context put team-a/plan plan.md --if-match 7-1f3a9c0b22de
  cairn context put team-a/plan --editor`,
  args: [idArgument, fileArgument],
  options: [
    {
      flags: "--type <type>",
      fills: "content_type",
      help: "content type (default: by the end of the name of the file; else as before; for a new context by the end of ID, .json .geojson .ipynb .md .csv .yaml, text/plain for others; a name without one: JSON for an object or array, else text/plain)",
    },
    ...titleAndTags,
    ...details,
    ...readers,
    ifMatch,
    fence,
    { flags: "--allow-empty", help: "store an empty text also where stdin or a pipe holds nothing" },
    { flags: "--create", help: "write only if the context does not exist yet", fills: "if_none_match" },
    { flags: "--editor", help: "write the content in $VISUAL or $EDITOR, as context edit does" },
    idempotencyKey,
  ],
  asksNode: true,
  async run(invocation) {
    const [id = "", file = "-"] = invocation.args;
    if (isSet(invocation, "editor")) {
      if (invocation.args[1] !== undefined) {
        throw new Fault("invalid_input", "--editor takes no file", { hint: "Give one of them." });
      }
      return editContext(invocation, id);
    }
    const content = await readInput(file);
    if (content === "" && !isSet(invocation, "allowEmpty") && !isRereadable(file)) throw emptyInput(file);
    const wanted = textOption(invocation, "type");
    const before = wanted === undefined ? await typeBefore(invocation, file, id) : undefined;
    const type = wanted ?? before ?? typeByName(file, id);
    if (wanted === undefined && before === undefined) refuseNoJson(content, type, file === "-" ? id : file);
    const answer = await askNode(
      invocation,
      "context_put",
      given({
        id,
        content,
        content_type: type,
        ...titleAndTagsOf(invocation),
        ...detailsOf(invocation),
        ...readersOf(invocation),
        ...conditionsOf(invocation),
        if_none_match: isSet(invocation, "create") ? "*" : undefined,
      }),
    );
    const exit = await showAnswer(invocation, answer, writtenLine);
    await noteUnknown(invocation, textsOption(invocation, "to"));
    return exit;
  },
};

/**
 * Returns the type of the context that is there, which is kept; undefined where the file says another one, where there
 * is no such context, and where no name says a type: then the node keeps it.
 */
async function typeBefore(invocation: Invocation, file: string, id: string): Promise<string | undefined> {
  if (typeOfFile(file) !== undefined || typeByName(file, id) === undefined) return undefined;
  try {
    const { body } = await askNode(invocation, "context_metadata", { id });
    const type = String(body["content_type"]);
    // A file with another extension says at least that it is text.
    const isGuess = type === "text/plain" || type === "application/json";
    return body["deleted"] === true || (file !== "-" && isGuess) ? undefined : type;
  } catch (error) {
    if (error instanceof Fault && ["not_found", "deleted", "purged"].includes(error.code)) return undefined;
    throw error;
  }
}

/** A command that failed leaves an empty pipe, as in `false | cairn context put`; an empty file was made by someone. */
function emptyInput(file: string): Fault {
  return new Fault("invalid_input", `${file === "-" ? "stdin" : file} is empty; nothing was written`, {
    hint: "See whether the command before the pipe failed; to store an empty text, add --allow-empty.",
  });
}

const FORMATS = ["merge", "json-patch", "edit"] as const;

/** `cairn context patch`. */
export const contextPatch: Command = {
  words: ["context", "patch"],
  summary: "change part of a context without sending all of it",
  more: `Examples:
  cairn context patch team-a/plan --append "- call Ann\\n"
  cairn context patch team-a/plan --replace Friday --with Monday
  echo '{"next": "ship"}' | cairn context patch team-a/state
  cairn context patch team-a/state steps.json --format json-patch
In --append, --prepend and --with, \\n is a line break.`,
  args: [idArgument, { name: "[FILE]", help: "the patch as JSON; - or nothing reads stdin", offers: "files" }],
  options: [
    {
      flags: "--format <format>",
      help: "merge (RFC 7396, the default), json-patch (RFC 6902) or edit",
      offers: FORMATS,
    },
    { flags: "--append <text>", help: "add this at the end of the text" },
    { flags: "--prepend <text>", help: "add this at the beginning of the text" },
    { flags: "--replace <text>", help: "replace this text by that of --with", fills: "old_text" },
    { flags: "--with <text>", help: "the text that replaces it", fills: "new_text" },
    {
      flags: "--count <n>",
      help: "number of occurrences that --replace must find (default 1)",
      fills: "expected_count",
    },
    ifMatch,
    fence,
    idempotencyKey,
  ],
  asksNode: true,
  async run(invocation) {
    const edits = editsOf(invocation);
    const [id, file] = invocation.args;
    const format = textOption(invocation, "format");
    if (edits.length > 0 && (file !== undefined || (format !== undefined && format !== "edit"))) {
      throw new Fault("invalid_input", "--append, --prepend and --replace already are a patch", {
        hint: "Leave the file and --format out.",
      });
    }
    const patch = edits.length > 0 ? edits : parseJsonInput(await readInput(file ?? "-"), "The patch");
    const answer = await askNode(
      invocation,
      "context_patch",
      given({ id, format: edits.length > 0 ? "edit" : (format ?? "merge"), patch, ...conditionsOf(invocation) }),
    );
    return showAnswer(invocation, answer, writtenLine);
  },
};

function editsOf(invocation: Invocation): Record<string, unknown>[] {
  const text = (name: string): string | undefined => textOption(invocation, name)?.replaceAll("\\n", "\n");
  const replace = text("replace");
  const replacement = text("with");
  const count = countOption(invocation, "count", "--count");
  if ((replace === undefined) !== (replacement === undefined) || (count !== undefined && replace === undefined)) {
    throw new Fault("invalid_input", "--replace and --with belong together", {
      hint: "Write --replace OLD --with NEW; an empty NEW removes the text.",
    });
  }
  const append = text("append");
  const prepend = text("prepend");
  return [
    ...(prepend === undefined ? [] : [{ op: "prepend", text: prepend }]),
    ...(replace === undefined
      ? []
      : [given({ op: "replace", old_text: replace, new_text: replacement, expected_count: count })]),
    ...(append === undefined ? [] : [{ op: "append", text: append }]),
  ];
}

/** `cairn context delete`. */
export const contextDelete: Command = {
  words: ["context", "delete"],
  aliases: ["rm"],
  summary: "delete a context; its earlier versions stay readable by number",
  args: [idArgument],
  options: [ifMatch, fence, idempotencyKey],
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(
      invocation,
      "context_delete",
      given({ id: invocation.args[0], ...conditionsOf(invocation) }),
    );
    return showAnswer(invocation, answer, (body) => `${body["id"]} deleted at version ${body["version"]}\n`);
  },
};

/** `cairn context restore`. */
export const contextRestore: Command = {
  words: ["context", "restore"],
  summary: "write an earlier version again as the newest; restores a deleted context",
  args: [idArgument, { name: "VERSION", help: "a version number of context history" }],
  options: [ifMatch, fence, idempotencyKey],
  asksNode: true,
  async run(invocation) {
    const [id, version = ""] = invocation.args;
    const answer = await askNode(
      invocation,
      "context_restore",
      given({ id, version: wholeNumber("VERSION", version), ...conditionsOf(invocation) }),
    );
    return showAnswer(invocation, answer, writtenLine);
  },
};

/** `cairn context purge`. */
export const contextPurge: Command = {
  words: ["context", "purge"],
  summary: "remove the content of a context, or of some versions, for good; hashes stay",
  args: [idArgument],
  options: [
    { flags: "--version <n>", help: "only this version; may be given several times", repeated: true },
    { flags: "--yes", help: "do not ask for confirmation" },
    idempotencyKey,
  ],
  asksNode: true,
  async run(invocation) {
    const id = invocation.args[0] ?? "";
    const versions = textsOption(invocation, "version").map((text) => wholeNumber("--version", text));
    const what = versions.length === 0 ? `all versions of ${id}` : `version ${versions.join(", ")} of ${id}`;
    await confirmed(invocation, `${what} cannot be restored after a purge`, id);
    const answer = await askNode(
      invocation,
      "context_purge",
      given({
        id,
        versions: versions.length === 0 ? undefined : versions,
        idempotency_key: textOption(invocation, "idempotencyKey"),
      }),
    );
    const code = await showAnswer(
      invocation,
      answer,
      (body) => `${body["id"]}: ${counted(Number(body["purged"]), "version")} purged\n`,
    );
    if (answer.body["erasure"] === "pending")
      say("the bytes leave the disks soon; cairn status names the members and backups that still hold them");
    return code;
  },
};

/** `cairn context many`. */
export const contextMany: Command = {
  words: ["context", "many"],
  summary: "execute several writes as one: all of them or none",
  more: `The input is a JSON list:
  [{"operation": "context_put", "id": "a/b", "content": 1}, {"operation": "context_delete", "id": "a/c"}]`,
  args: [fileArgument],
  options: [idempotencyKey],
  asksNode: true,
  async run(invocation) {
    const read = parseJsonInput(await readInput(invocation.args[0] ?? "-"), "The list of writes");
    const input = Array.isArray(read) ? { writes: read } : read;
    const key = textOption(invocation, "idempotencyKey");
    const answer = await askNode(
      invocation,
      "context_many",
      isObject(input) && key !== undefined ? { ...input, idempotency_key: key } : input,
    );
    return showAnswer(invocation, answer, (body) =>
      objectsOf(body["results"])
        .map((result) =>
          result["deleted"] === true
            ? `${result["id"]} deleted at version ${result["version"]}\n`
            : writtenLine(result),
        )
        .join(""),
    );
  },
};
