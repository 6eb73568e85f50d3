// cairn context edit: opens a context in the user's editor and writes it back if it was not written in the meantime.
// After any failure the edited text is kept, and the message says where.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../lib/child-environment.ts";
import { shellWord } from "../../lib/client-lines.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, given, type Invocation, textOption } from "../command.ts";
import { extensionOf, readInput, typeByName } from "../input.ts";
import { say, showAnswer } from "../output.ts";
import { idArgument, titleAndTags, titleAndTagsOf, writtenLine } from "./shared-options.ts";

/** `cairn context edit`. */
export const contextEdit: Command = {
  words: ["context", "edit"],
  summary: "edit a context in $VISUAL or $EDITOR; a new one if there is none",
  args: [idArgument],
  options: [
    { flags: "--type <type>", help: "content type (default: as before, or by the name of ID)" },
    ...titleAndTags,
  ],
  asksNode: true,
  run: (invocation) => editContext(invocation, invocation.args[0] ?? ""),
};

interface CurrentContext {
  text: string;
  /** Undefined when there is no such context. */
  etag: string | undefined;
  contentType: string | undefined;
}

/**
 * Gets a context, lets the user edit it and puts it with if_match. Returns the exit code. Faults of node and editor.
 */
export async function editContext(invocation: Invocation, id: string): Promise<number> {
  const wantedType = textOption(invocation, "type");
  const before = await read(invocation, id);
  const folder = mkdtempSync(join(tmpdir(), "cairn-edit-"));
  const file = join(folder, fileNameOf(id, wantedType ?? before.contentType));
  writeFileSync(file, before.text, { mode: 0o600 });
  try {
    await runEditor(invocation, file);
    const text = await readInput(file);
    const isNew = before.etag === undefined;
    if (text === before.text && (!isNew || text === "") && wantedType === undefined) {
      rmSync(folder, { recursive: true, force: true });
      say(`${id} is unchanged; nothing was written`);
      return 0;
    }
    const input = given({
      id,
      content: text,
      content_type: wantedType ?? before.contentType ?? typeByName(id),
      ...titleAndTagsOf(invocation),
      ...(isNew ? { if_none_match: "*" } : { if_match: before.etag }),
    });
    const answer = await askNode(invocation, "context_put", input);
    rmSync(folder, { recursive: true, force: true });
    return showAnswer(invocation, answer, writtenLine);
  } catch (error) {
    throw error instanceof Fault ? withFile(error, id, file) : error;
  }
}

/** Returns a file name by which the editor recognizes the type. */
function fileNameOf(id: string, contentType: string | undefined): string {
  const name = id.split("/").at(-1) ?? "context";
  return `${name.replaceAll(/[^A-Za-z0-9._-]/g, "_").slice(0, MAX_FILE_NAME)}${extensionOf(contentType ?? typeByName(id) ?? "text/plain")}`;
}

/** Adds to an error where the edited text is, and how to write it. */
function withFile(error: Fault, id: string, file: string): Fault {
  const put = `cairn context put ${shellWord(id)} ${file}`;
  return error.retold(`${error.message}; your text is kept in ${file}`, {
    hint:
      error.code === "version_mismatch"
        ? `${id} has changed. Read it with cairn context get ${shellWord(id)}, then write yours with ${put} --if-match ETAG.`
        : `Correct the problem, then write it with ${put}.`,
    details: { file },
    cause: error,
  });
}

async function read(invocation: Invocation, id: string): Promise<CurrentContext> {
  try {
    const { body } = await askNode(invocation, "context_get", { id, format: "text" });
    return { text: String(body["content"]), etag: String(body["etag"]), contentType: String(body["content_type"]) };
  } catch (error) {
    const absent = error instanceof Fault && (error.code === "not_found" || error.code === "deleted");
    if (!absent) throw error;
    return { text: "", etag: undefined, contentType: undefined };
  }
}

/** File systems take 255 bytes. */
const MAX_FILE_NAME = 100;

const SECRET_VARIABLE = /^(TS_|TAILSCALE_)/;

/** Runs the editor. As in git, the variable may hold arguments, so a shell splits it. */
async function runEditor(invocation: Invocation, file: string): Promise<void> {
  const editor = invocation.env["VISUAL"] || invocation.env["EDITOR"] || ["nano", "vi"].find((name) => Bun.which(name));
  if (editor === undefined) {
    throw new Fault("invalid_input", "There is no editor: neither VISUAL nor EDITOR is set", {
      hint: "Set EDITOR, such as EDITOR=nano.",
    });
  }
  const child = Bun.spawn({
    cmd: ["/bin/sh", "-c", `${editor} "$@"`, editor, file],
    // The editor gets the user's environment, without the secrets of Cairn.
    env: childEnvironment(
      invocation.env,
      Object.keys(invocation.env).filter((name) => !SECRET_VARIABLE.test(name)),
    ),
    stdio: ["inherit", "inherit", "inherit"],
  });
  const code = await child.exited;
  if (code === 0) return;
  throw new Fault("cancelled", `The editor ${JSON.stringify(editor)} ended with ${child.signalCode ?? code}`);
}
