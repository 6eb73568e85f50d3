// Files that come with a call of service_deploy: packed as an archive and put as a blob of the space fleet, so that an
// agent without a disk can deploy too.

import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { tarEnd, tarHeader, tarPadding } from "../../lib/strict-tar.ts";
import type { MacroSteps } from "../../operation/define.ts";
import { DEFAULT_SPACE } from "./rows.ts";

/** Most files of a call. */
export const MAX_FILES = 100;
/** Each ask waits up to ten seconds for the copies. */
const MAX_ASKS = 6;

/** Returns the archive of texts by their path. One that begins with `#!` can be run. Fault `invalid_input`. */
export function archiveOfTexts(files: Readonly<Record<string, string>>): Uint8Array {
  const parts: Uint8Array[] = [];
  const folders = new Set<string>();
  for (const name of Object.keys(files).sort()) {
    for (let at = name.indexOf("/"); at >= 0; at = name.indexOf("/", at + 1)) {
      const folder = name.slice(0, at);
      if (folders.has(folder)) continue;
      folders.add(folder);
      parts.push(tarHeader({ kind: "folder", name: folder, size: 0, executable: true }));
    }
    const text = files[name] ?? "";
    const bytes = new TextEncoder().encode(text);
    parts.push(
      tarHeader({ kind: "file", name, size: bytes.byteLength, executable: text.startsWith("#!") }),
      bytes,
      tarPadding(bytes.byteLength),
    );
  }
  const both = Object.keys(files).find((name) => folders.has(name));
  if (both !== undefined)
    throw new Fault("invalid_input", `${JSON.stringify(both)} is a file and a folder`, {
      hint: "Give each file another path.",
      details: { field: "files" },
    });
  return Buffer.concat([...parts, tarEnd()]);
}

/** Puts an archive and waits until enough members hold it. Returns its SHA-256. Fault `unavailable`. */
export async function putArchive(steps: MacroSteps, archive: Uint8Array): Promise<string> {
  const sha256 = sha256Hex(archive);
  const blob = { space: DEFAULT_SPACE, sha256, bytes: archive.byteLength, content_type: "application/x-tar" };
  // The first one only asks how far it is: a call before may have brought a part.
  let answer = await steps.ask("blob_put", blob);
  for (let asks = 0; answer["stored"] !== true && asks < MAX_ASKS; ) {
    const offset = Number(answer["received"]);
    const data = Buffer.from(archive.subarray(offset, offset + PART_BYTES)).toString("base64");
    answer = await steps.ask("blob_put", { ...blob, ...(data === "" ? {} : { offset, data }) });
    if (data === "" || Number(answer["received"]) <= offset) asks += 1;
  }
  if (answer["stored"] === true) return sha256;
  throw new Fault("unavailable", `The files are not held by enough members yet: ${String(answer["missing"] ?? "")}`, {
    hint: "Nothing was deployed. Call it again with the same files: what was copied counts.",
  });
}
