// The MCP endpoint over a second feature, which it knows by its manifest alone.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { contextFeature } from "../../src/features/context/index.ts";
import { ResourceIndex } from "../../src/mcp/resource-index.ts";
import { read, write } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { connect, ERAS, until } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

/** Texts of the notes by id, in place of a table. */
const texts = new Map<string, string>();

const noteSay = write({
  name: "note_say",
  v: 1,
  title: "Say",
  description: "Stores a note.",
  input: z.object({ id: z.string(), text: z.string() }),
  output: z.object({ id: z.string() }),
  access: { verb: "write", spaces: ({ id }) => [id.slice(0, id.indexOf("/"))] },
  prepare: (input) => input,
  apply: (_tx, { id, text }: { id: string; text: string }) => {
    const outcome = texts.has(id) ? "updated" : "created";
    texts.set(id, text);
    return { output: { id }, changes: [{ target: id, version: 1, contentHash: "", outcome }] };
  },
});

const noteRead = read({
  name: "note_read",
  title: "Read",
  description: "Reads a note.",
  input: z.object({ id: z.string() }),
  output: z.object({ text: z.string() }),
  access: { verb: "read", spaces: ({ id }) => [id.slice(0, id.indexOf("/"))] },
  run: (_reader, { id }) => ({ text: texts.get(id) ?? "" }),
});

const noteList = read({
  name: "note_list",
  title: "List",
  description: "Lists notes.",
  input: z.object({ after: z.string().optional() }),
  output: z.object({ ids: z.array(z.string()), more: z.boolean() }),
  access: { verb: "read", spaces: "visible" },
  run: (_reader, { after = "" }) => {
    const ids = [...texts.keys()].sort().filter((id) => id > after);
    return { ids: ids.slice(0, 2), more: ids.length > 2 };
  },
});

const idsOf = (output: Readonly<Record<string, unknown>>) => noteList.output.parse(output);

const notes: Feature = {
  name: "note",
  operations: () => [noteSay, noteRead, noteList],
  changes: {
    operations: ["note_say"],
    readBy: "note_read",
    altersList: ({ outcome }) => outcome === "created",
  },
  resources: {
    uriTemplate: "note:///{id}",
    name: "note",
    title: "Note",
    description: "A note.",
    list: {
      operation: "note_list",
      input: ({ cursor }) => (cursor === undefined ? {} : { after: cursor }),
      result: (output) => {
        const { ids, more } = idsOf(output);
        const resources = ids.map((target) => ({
          target,
          mimeType: "text/plain",
          size: 1,
          updatedAt: "2026-01-01T00:00:00Z",
          about: { author: "somebody" },
        }));
        return { resources, cursor: more ? ids.at(-1) : undefined };
      },
    },
    read: {
      operation: "note_read",
      input: ({ target }) => ({ id: target }),
      result: ({ text }) => ({ mimeType: "text/plain", text: String(text), about: { author: "somebody" } }),
    },
    complete: {
      operation: "note_list",
      input: () => ({}),
      result: (output, { value }) => {
        const { ids, more } = idsOf(output);
        return { values: ids.filter((id) => id.startsWith(value)), hasMore: more };
      },
    },
  },
  prompts: [
    {
      name: "answer",
      title: "Answer",
      description: "Answers a note.",
      arguments: [{ name: "id", description: "Which.", required: true, longest: 20 }],
      needs: ["note_read"],
      text: async ({ id = "" }, { ask }) => `Answer: ${String((await ask("note_read", { id }))["text"])}`,
    },
  ],
  instructions: {
    about: "A note is short.",
    readers: ["- Read notes."],
    writers: { operation: "note_say", lines: ["- Say things."], otherwise: "- Say nothing." },
  },
};

const features = [contextFeature, notes];
let core: Core;
let server: McpServer;

beforeAll(async () => {
  const operations = operationsOf(features).filter(({ name }) => !name.startsWith("audit_"));
  core = startCore({ operations });
  const caller = (login: string, grant: object) => callerWith({ id: `n${login}`, login, grants: [grant] });
  server = startMcpServer(core, {
    features,
    callers: {
      noteReader: caller("noteReader", { role: "reader", spaces: ["s"], tools: ["note_*"] }),
      contextReader: caller("contextReader", { role: "reader", spaces: ["s"], tools: ["context_*"] }),
    },
  });
  await core.call("context_put", { id: "s/a", content: "a" });
  for (const id of ["s/1", "s/2", "s/3"]) await core.call("note_say", { id, text: `text of ${id}` });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

describe.each(ERAS)("%s client", (era) => {
  test("lists, reads and completes the resources of both features", async () => {
    await using one = await connect(server.url, era);
    const { resources } = await one.client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(["cairn:///s/a", "note:///s/1", "note:///s/2", "note:///s/3"]);
    expect(resources[1]?._meta).toEqual({ "cairn.internal/note": { author: "somebody" } });
    const { resourceTemplates } = await one.client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual(["cairn:///{id}", "note:///{id}"]);
    const { contents } = await one.client.readResource({ uri: "note:///s/2" });
    expect(contents).toMatchObject([{ text: "text of s/2", _meta: { "cairn.internal/note": { author: "somebody" } } }]);
    const { completion } = await one.client.complete({
      ref: { type: "ref/resource", uri: "note:///{id}" },
      argument: { name: "id", value: "s/2" },
    });
    expect(completion.values).toEqual(["s/2"]);
  });

  test("lists only what the caller may list", async () => {
    await using reader = await connect(server.url, era, "noteReader");
    const { resources } = await reader.client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(["note:///s/1", "note:///s/2", "note:///s/3"]);
  });

  test("a change wakes whoever watches its URI and may use the read of its feature", async () => {
    await using notesOnly = await connect(server.url, era, "noteReader");
    await using contextsOnly = await connect(server.url, era, "contextReader");
    await notesOnly.watch(["note:///s/1"]);
    if (era === "legacy") await expect(contextsOnly.watch(["note:///s/1"])).rejects.toThrow("no context or note that");
    await contextsOnly.watch(era === "legacy" ? ["cairn:///s/1"] : ["cairn:///s/1", "note:///s/1"]);
    const before = notesOnly.listChanges();
    await core.call("context_put", { id: "s/1", content: "a context of the same id" });
    await until(
      () => contextsOnly.updated.length === 1,
      () => contextsOnly.updated,
    );
    await core.call("note_say", { id: "s/1", text: "changed" });
    await until(
      () => notesOnly.updated.length === 1,
      () => notesOnly.updated,
    );
    expect(notesOnly.updated).toEqual(["note:///s/1"]);
    expect(notesOnly.listChanges()).toBe(before);
    expect(contextsOnly.updated).toEqual(["cairn:///s/1"]);
    await core.call("note_say", { id: `s/4-${era}`, text: "new" });
    await until(
      () => notesOnly.listChanges() > before,
      () => notesOnly.listChanges(),
    );
    texts.delete(`s/4-${era}`);
    texts.set("s/1", "text of s/1");
    await core.call("context_delete", { id: "s/1" });
  });

  test("prompts and instructions come from both", async () => {
    await using one = await connect(server.url, era);
    const { prompts } = await one.client.listPrompts();
    expect(prompts.map(({ name }) => name)).toEqual(["answer", "handoff", "prime"]);
    const { messages } = await one.client.getPrompt({ name: "answer", arguments: { id: "s/1" } });
    expect(messages[0]?.content).toEqual({ type: "text", text: "Answer: text of s/1" });
    expect(one.client.getInstructions()).toContain("A note is short. Use it unasked:");
    expect(one.client.getInstructions()).toContain("- Say things.");
    await using reader = await connect(server.url, era, "noteReader");
    expect(reader.client.getInstructions()).toContain("- Read notes.\n- Say nothing.");
  });
});

test("a URI that could be of two features is a mistake in a manifest", () => {
  const { resources } = notes;
  if (resources === undefined) throw new Error("notes have resources");
  const other: Feature = { name: "other", resources: { ...resources, uriTemplate: "cairn:///{written}" } };
  expect(() => new ResourceIndex([contextFeature, other])).toThrow("URIs of other would be URIs of context");
  const malformed: Feature = { name: "other", resources: { ...resources, uriTemplate: "note:{id}/{more}" } };
  expect(() => new ResourceIndex([malformed])).toThrow("is not a template of resources");
});
