// cairn context edit: a context in the person's own editor. Written back only if nobody wrote meanwhile; whatever fails, the text is kept and said where.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, given, type Invocation, textOption } from "../command.ts";
import { endingOf, mediaTypeOf } from "../input.ts";
import { say, showAnswer } from "../output.ts";
import { idArgument, titleAndTags, titleAndTagsOf, writtenLine } from "./words.ts";

/** `cairn context edit`. */
export const contextEdit: Command = {
  words: ["context", "edit"],
  summary: "edit a context in $VISUAL or $EDITOR; a new one if there is none",
  args: [idArgument],
  options: [
    { flags: "--type <type>", help: "content type; without it as it was, or found by the content" },
    ...titleAndTags,
  ],
  asksNode: true,
  run: (invocation) => editContext(invocation, invocation.args[0] ?? ""),
};

interface Before {
  text: string;
  /** Absent when there is no such context. */
  etag: string | undefined;
  contentType: string | undefined;
}

/** Get, edit, put with if_match. Answers the exit code; Faults of the node and the editor. */
export async function editContext(invocation: Invocation, id: string): Promise<number> {
  const wantedType = textOption(invocation, "type");
  const before = await read(invocation, id);
  const folder = mkdtempSync(join(tmpdir(), "cairn-edit-"));
  const name =
    id
      .split("/")
      .at(-1)
      ?.replaceAll(/[^A-Za-z0-9._-]/g, "_") ?? "context";
  const file = join(folder, `${name}${endingOf(wantedType ?? before.contentType ?? mediaTypeOf(id, ""))}`);
  writeFileSync(file, before.text, { mode: 0o600 });
  try {
    await runEditor(invocation, file);
    const text = readFileSync(file, "utf8");
    const isNew = before.etag === undefined;
    if (text === before.text && (!isNew || text === "") && wantedType === undefined) {
      rmSync(folder, { recursive: true, force: true });
      say(`${id} is as it was; nothing was written`);
      return 0;
    }
    const answer = await askNode(
      invocation,
      "context_put",
      given({
        id,
        content: text,
        content_type: wantedType ?? before.contentType ?? mediaTypeOf(file, text),
        ...titleAndTagsOf(invocation),
        ...(isNew ? { if_none_match: "*" } : { if_match: before.etag }),
      }),
    );
    rmSync(folder, { recursive: true, force: true });
    return showAnswer(invocation, answer, writtenLine);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const conflict = error.code === "version_mismatch";
    throw error.retold(`${error.message}; your text is kept in ${file}`, {
      hint: conflict
        ? `Someone wrote ${id} meanwhile. Look with cairn context get ${id}, then write yours with cairn context put ${id} ${file} --if-match ETAG.`
        : `Mend what is said, then write it with cairn context put ${id} ${file}.`,
      details: { file },
      cause: error,
    });
  }
}

async function read(invocation: Invocation, id: string): Promise<Before> {
  try {
    const { body } = await askNode(invocation, "context_get", { id, format: "text" });
    return { text: String(body["content"]), etag: String(body["etag"]), contentType: String(body["content_type"]) };
  } catch (error) {
    const absent = error instanceof Fault && (error.code === "not_found" || error.code === "deleted");
    if (!absent) throw error;
    return { text: "", etag: undefined, contentType: undefined };
  }
}

const SECRET_VARIABLE = /^(TS_|TAILSCALE_)/;

/** Runs the editor as git does: the variable may hold arguments, so a shell splits it. */
async function runEditor(invocation: Invocation, file: string): Promise<void> {
  const editor = invocation.env["VISUAL"] || invocation.env["EDITOR"] || ["nano", "vi"].find((name) => Bun.which(name));
  if (editor === undefined) {
    throw new Fault("invalid_input", "There is no editor: neither VISUAL nor EDITOR is set", {
      hint: "Set EDITOR, such as EDITOR=nano.",
    });
  }
  const child = Bun.spawn({
    cmd: ["/bin/sh", "-c", `${editor} "$@"`, editor, file],
    // A person's own editor gets that person's environment, but for what is a secret of Cairn.
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
