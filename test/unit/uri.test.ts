// URIs of resources: each id has one, and comes back from it whatever parser the URI went through.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { contextResources } from "../../src/features/context/mcp-resources.ts";
import { UriTemplate } from "../../src/mcp/uri.ts";
import { AWKWARD_IDS, anyId } from "../kit/ids.ts";
import { faultOf } from "../kit/refusal.ts";

const template = new UriTemplate(contextResources.uriTemplate);

test("every id comes back from its URI, which `new URL` keeps as it is", () => {
  fc.assert(
    fc.property(anyId, (id) => {
      const uri = template.uriOf(id);
      expect(new URL(uri).href).toBe(uri);
      expect(new URL(uri).host).toBe("");
      expect(template.parse(uri)?.target).toBe(id);
    }),
  );
});

test("the URI of an id in another spelling is read as that id", () => {
  fc.assert(
    fc.property(anyId, (id) => {
      const expanded = contextResources.uriTemplate.replace("{id}", encodeURIComponent(id));
      const spellings = [
        expanded,
        template.uriOf(id).replace("cairn:///", "cairn:/"),
        template.uriOf(id).replace("cairn:", "CAIRN:"),
        template.uriOf(id.normalize("NFD")),
        // What versions before this form listed.
        template.uriOf(id).replace("cairn:///", "cairn://"),
      ];
      expect(spellings.map((uri) => template.parse(uri)?.target)).toEqual(spellings.map(() => id));
    }),
  );
});

test("what is no URI of this scheme has no target, and what cannot be read is refused with a way out", () => {
  for (const uri of ["cairn://", "cairn:///", "cairn:team/x", "http://team/x", "xcairn:///team/x", ""])
    expect(template.parse(uri)?.target).toBeUndefined();
  const refusal = (uri: string) => faultOf(() => template.parse(uri)?.target);
  expect(refusal("cairn:///a/What now?").hint).toContain("%3F");
  expect(refusal("cairn:///a/b#c").hint).toContain("%23");
  expect(refusal("cairn:///a/100%").hint).toContain("%25");
  expect(refusal("cairn:///a/%ff").message).toContain("not valid percent-encoding");
});

test("the URIs that the Go tests parse are those of their ids", () => {
  const path = join(import.meta.dir, "..", "..", "native", "testdata", "uris", "uris.jsonl");
  const rows = readFileSync(path, "utf8").trimEnd().split("\n");
  const made = [...AWKWARD_IDS, ...fc.sample(anyId, { seed: 1, numRuns: 300 })].map((id) =>
    JSON.stringify({ id, uri: template.uriOf(id) }),
  );
  expect(rows).toEqual(made);
});
