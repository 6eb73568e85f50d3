// Any sequence of operations against a plain model in memory: every answer, every document, every version and every
// list is what the model says.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { applyEdits, parseEdits } from "../../src/features/context/edits.ts";
import { Fault } from "../../src/lib/fault.ts";
import { applyJsonPatch, parseSteps } from "../../src/lib/json-patch.ts";
import { applyMergePatch } from "../../src/lib/merge-patch.ts";
import { startCore } from "../kit/core.ts";
import { checkUsage } from "../kit/usage.ts";
import { type AnyWrite, anyWrite, IDS } from "../kit/writes.ts";

interface Version {
  /** undefined: a deletion. */
  text: string | undefined;
  json: boolean;
  title: string;
  tags: string[];
  metadata: unknown;
  supersedes: string[];
  expires: boolean;
  purged: boolean;
}

const NO_DETAILS = { metadata: {}, supersedes: [], expires: false };

type State = Map<string, Version[]>;

class Refused extends Error {}

/** What a write does to the model; throws Refused where it must be refused. */
function step(state: State, { operation, input }: AnyWrite): void {
  if (operation === "context_many") {
    for (const { operation: name, ...rest } of input["writes"] as Array<{ operation: string }>)
      step(state, { operation: name, input: rest });
    return;
  }
  const id = String(input["id"]);
  const versions = state.get(id) ?? [];
  const newest = versions.at(-1);
  const living = newest?.text === undefined && newest?.purged !== true ? undefined : newest;
  const push = (version: Version): void => void state.set(id, [...versions, version]);
  if (input["if_match"] === "*" && living === undefined) throw new Refused();
  if (input["if_match"] !== undefined && input["if_match"] !== "*") throw new Refused();
  if (input["if_none_match"] === "*" && living !== undefined) throw new Refused();
  switch (operation) {
    case "context_put": {
      const { content, title, tags } = input;
      const isText = typeof content === "string";
      push({
        text: isText ? content : JSON.stringify(content),
        json: !isText,
        title: typeof title === "string" ? title : (living?.title ?? ""),
        tags: Array.isArray(tags) ? tags : (living?.tags ?? []),
        metadata: input["metadata"] ?? living?.metadata ?? {},
        supersedes: (input["supersedes"] as string[] | undefined) ?? living?.supersedes ?? [],
        expires: input["expires_in"] === undefined ? (living?.expires ?? false) : input["expires_in"] !== 0,
        purged: false,
      });
      return;
    }
    case "context_delete":
      if (living === undefined) throw new Refused();
      push({ ...living, text: undefined });
      return;
    case "context_restore": {
      const old = versions[Number(input["version"]) - 1];
      if (old?.text === undefined) throw new Refused();
      // Of another space than its own: what it superseded is only kept.
      push({ ...old, supersedes: old.supersedes.filter((other) => living?.supersedes.includes(other)) });
      return;
    }
    case "context_patch":
      if (living?.text === undefined) throw new Refused();
      push({ ...living, text: patched(living, input) });
      return;
    case "context_purge": {
      const which = (input["versions"] as number[] | undefined) ?? versions.map((_, at) => at + 1);
      const hit = which.filter((version) => versions[version - 1]?.text !== undefined);
      if (versions.length === 0 || (hit.length === 0 && input["versions"] !== undefined)) throw new Refused();
      const next = versions.map((version, at) =>
        which.includes(at + 1) && version.text !== undefined
          ? { ...version, text: undefined, title: "", tags: [], ...NO_DETAILS, purged: true }
          : version,
      );
      if (living !== undefined && which.includes(versions.length))
        next.push({ text: undefined, json: living.json, title: "", tags: [], ...NO_DETAILS, purged: false });
      state.set(id, next);
    }
  }
}

function patched(version: Version, input: Record<string, unknown>): string {
  const text = version.text ?? "";
  try {
    if (input["format"] === "edit") {
      const edited = applyEdits(text, parseEdits(input["patch"]), 1e6);
      if (version.json) JSON.parse(edited);
      return edited;
    }
    if (!version.json) throw new Refused();
    const value = JSON.parse(text);
    const steps = input["format"] === "merge" ? [] : parseSteps(input["patch"]);
    return JSON.stringify(
      input["format"] === "merge" ? applyMergePatch(value, input["patch"]) : applyJsonPatch(value, steps, 1e6),
    );
  } catch (error) {
    if (error instanceof Fault || error instanceof SyntaxError) throw new Refused();
    throw error;
  }
}

/** Returns what a read says of a version, in the words of the model. */
function shown(got: Record<string, unknown>): Record<string, unknown> {
  const { content, metadata = {}, supersedes = [], expires_at } = got;
  const json = got["content_type"] === "application/json";
  return { ...got, text: content, json, metadata, supersedes, expires: expires_at !== undefined, purged: false };
}

test("any writes leave what the model says", async () => {
  await using core = startCore({ limits: { history: { maxVersions: 0, maxDays: 0, keepHours: 0, spaces: {} } } });
  await fc.assert(
    fc.asyncProperty(fc.array(anyWrite, { maxLength: 25 }), async (writes) => {
      // Another space for each run: the ids of the model stand behind a prefix of its own.
      const prefix = `run${core.log.position().seq}-`;
      const own = (write: AnyWrite): AnyWrite =>
        JSON.parse(JSON.stringify(write), (key, value) => (key === "id" ? `${prefix}${value}` : value));
      let state: State = new Map();
      for (const write of writes) {
        const next: State = new Map(state);
        let allowed = true;
        try {
          step(next, write);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          allowed = false;
        }
        const { operation, input } = own(write);
        const done = await core.call(operation, input).then(
          () => "",
          (error) => String(error),
        );
        expect([write, done === "" ? "" : "refused"]).toEqual([write, allowed ? "" : "refused"]);
        if (allowed) state = next;
      }
      for (const id of IDS) await compare(id, `${prefix}${id}`, state.get(id) ?? []);
      const listed = (await core.call("context_list", { prefix, limit: 500 })) as { contexts: Array<{ id: string }> };
      const living = IDS.filter((id) => state.get(id)?.at(-1)?.text !== undefined).map((id) => `${prefix}${id}`);
      expect(listed.contexts.map((row) => row.id)).toEqual(living.sort());
      checkUsage(core);
      expect(core.unexpected).toEqual([]);
    }),
    { numRuns: 60 },
  );
  expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });

  async function compare(_id: string, id: string, versions: Version[]): Promise<void> {
    const code = (input: Record<string, unknown>) =>
      core.call("context_get", { ...input, format: "text" }).then(
        (got) => got,
        (error) => error.code,
      );
    if (versions.length === 0) {
      expect(await code({ id })).toBe("not_found");
      return;
    }
    for (const [at, version] of versions.entries()) {
      const got = await code({ id, version: at + 1 });
      if (version.text === undefined) expect(got).toBe(version.purged ? "purged" : "deleted");
      else expect(shown(got)).toMatchObject({ ...version, content: version.text, version: at + 1 });
    }
    expect(await core.call("context_metadata", { id })).toMatchObject({
      version: versions.length,
      versions: versions.length,
      floor: 1,
    });
  }
}, 30_000);
