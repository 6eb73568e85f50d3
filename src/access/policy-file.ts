// Grants from a file beside the node, for Headscale without app grants and for tests. The file decides rights, so it is
// read only if no other user of the machine can write it (security.md 6).

import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { parseJson } from "../lib/json-text.ts";
import { readBounded } from "../lib/read-file.ts";
import { fileReason, reasonOf } from "../lib/reason-of.ts";
import { describeIssue } from "../lib/schema-issue.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";
import type { Caller } from "./caller.ts";
import { isLoginOf } from "./login.ts";
import type { SourcedGrant } from "./rights.ts";
import { type Grant, joinRolesOf, parseGrants } from "./rights.ts";

/**
 * The grants section of a tailnet policy. `src` are logins, `tag:…`, node ids or `*`; `app` maps the capability name to
 * grant objects.
 */
const policySchema = z.strictObject({
  grants: z
    .array(
      z.strictObject({
        src: z.array(z.string().min(1).max(256)).min(1).max(1000),
        app: z.record(z.string(), z.array(z.unknown()).max(1000)),
      }),
    )
    .max(1000),
});

const MAX_POLICY_BYTES = 1024 * 1024;

export interface PolicyRule {
  src: readonly string[];
  grants: readonly Grant[];
  /** Roles in which its sources may join the fleet. */
  join?: readonly "edge"[];
}

/** A policy file that was read and checked. */
export interface Policy {
  rules: readonly PolicyRule[];
  problems: readonly string[];
}

/** Reads and checks the file. Throws Fault `policy_invalid`, which says what is wrong with it. */
export function loadPolicyFile(path: string, capability: string): Policy {
  const bytes = readGuarded(resolve(path));
  const value = asPolicyFault(path, () => parseJson(withoutBom(textOfUtf8(bytes, "it")), "it"));
  const parsed = policySchema.safeParse(value);
  if (!parsed.success) throw invalid(path, describeIssue(parsed.error.issues[0], value).text);
  const problems: string[] = [];
  const rules = parsed.data.grants.map((rule, index) => {
    const objects = rule.app[capability] ?? [];
    const found = parseGrants(objects, `${path}, grant ${index + 1}`);
    problems.push(...found.problems, ...rule.src.flatMap((src) => neverMatches(src, `${path}, grant ${index + 1}`)));
    return { src: rule.src, grants: found.grants, join: joinRolesOf(objects) };
  });
  return { rules, problems };
}

/** Returns the grants of the policy for a caller; a local caller has none here. */
export function policyGrants(policy: Policy, caller: Caller): SourcedGrant[] {
  if (caller.kind === "local") return [];
  return policy.rules.flatMap((rule, index) =>
    rule.src.some((src) => sourceMatches(src, caller))
      ? rule.grants.map((grant) => ({ source: `grant ${index + 1} of the policy file`, grant }))
      : [],
  );
}

/** Returns the roles in which the policy lets a caller join the fleet. */
export function policyJoinRoles(policy: Policy, caller: Caller): readonly "edge"[] {
  if (caller.kind === "local") return [];
  return policy.rules.flatMap(({ src, join }) => (src.some((each) => sourceMatches(each, caller)) ? (join ?? []) : []));
}

/** Returns a problem for a source that is a pattern or a group of the tailnet policy: this file knows neither. */
function neverMatches(src: string, place: string): string[] {
  if (!/^(?:autogroup|group|host|ipset|user):|.\*|\*./.test(src)) return [];
  return [`${place}: src ${JSON.stringify(src)} matches nobody here: name a login, a tag, a node id, or *`];
}

/** A login matches users only: a user called `tag:x` or `tagged-devices` gains nothing from a tag. */
function sourceMatches(src: string, caller: Caller): boolean {
  if (src === "*") return caller.kind !== "shared";
  if (src === caller.id) return true;
  if (src.startsWith("tag:")) return caller.kind === "tagged" && caller.tags.includes(src);
  return caller.kind !== "tagged" && isLoginOf(src, caller.login);
}

/** Reads a file that only root or this user can write, with no symbolic link in its path. Fault `policy_invalid`. */
function readGuarded(path: string): Uint8Array {
  let descriptor: number;
  try {
    // Opening a FIFO would wait for its writer, and the node with it.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const looped = cause instanceof Error && "code" in cause && cause.code === "ELOOP";
    throw invalid(path, looped ? "it is a symbolic link" : fileReason(cause), cause);
  }
  try {
    const found = fstatSync(descriptor);
    if (!found.isFile()) throw invalid(path, "it is not a regular file");
    refuseOthers(path, path, found);
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      refuseOthers(path, folder, lstatSync(folder));
      if (folder === dirname(folder)) break;
    }
    return asPolicyFault(path, () => readBounded(descriptor, MAX_POLICY_BYTES));
  } finally {
    closeSync(descriptor);
  }
}

/** A sticky folder such as /tmp lets others add files but not replace ours, so it may be writable. */
function refuseOthers(
  path: string,
  part: string,
  found: { uid: number; mode: number; isDirectory(): boolean; isSymbolicLink(): boolean },
): void {
  const uid = process.getuid?.() ?? found.uid;
  const sticky = found.isDirectory() && (found.mode & 0o1000) !== 0;
  if (found.isSymbolicLink()) throw invalid(path, `${part} is a symbolic link`);
  if (found.uid !== 0 && found.uid !== uid)
    throw invalid(path, `${part} belongs to uid ${found.uid}; it must be root or uid ${uid}`);
  if ((found.mode & 0o022) !== 0 && !sticky)
    throw invalid(path, `others can write ${part} (mode ${(found.mode & 0o7777).toString(8)})`);
}

function asPolicyFault<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw invalid(path, reasonOf(error), error);
  }
}

function invalid(path: string, detail: string, cause?: unknown): Fault {
  return new Fault("policy_invalid", `The policy file ${path} cannot be used: ${detail}`, {
    hint:
      "It must be a regular file of root or this user that nobody else can write, with " +
      '{"grants": [{"src": [...], "app": {...}}]}.',
    cause,
  });
}
