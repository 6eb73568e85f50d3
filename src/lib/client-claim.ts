// What a client says of itself: name and version, as a claim beside the verified caller. It is shown in history and
// audit as said by the client; nothing is judged by it. This is the one form in which it is kept.

import { isObject } from "./json-object.ts";

/** Most characters of a claim. */
export const MAX_CLIENT = 128;
/** Characters of a text that are looked at. */
const MAX_READ = 4 * MAX_CLIENT;
/** What is not seen or drives a terminal: controls, bidi marks, fillers, lone surrogates; and spaces of any kind. */
const UNSEEN = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]+/gu;

/** Returns a claim on one line: Unicode NFC, single spaces, at most MAX_CLIENT characters; "" where nothing is left. */
export function clientClaim(text: string): string {
  return oneLine(text.slice(0, MAX_READ), MAX_CLIENT);
}

/** Returns a text in that form, at most so many characters long. */
export function oneLine(text: string, maxChars: number): string {
  const plain = text.normalize("NFC").replace(UNSEEN, " ").trim();
  // A pair of surrogates is not cut.
  return plain.slice(0, maxChars).replace(UNSEEN, " ").trimEnd();
}

/** Returns the claim that an MCP `clientInfo` is, `<name> <version>`; "" for one without a name. */
export function claimOfInfo(info: unknown): string {
  if (!isObject(info) || typeof info["name"] !== "string") return "";
  const name = clientClaim(info["name"]);
  const { version } = info;
  return name === "" || typeof version !== "string" ? name : clientClaim(`${name} ${version}`);
}
