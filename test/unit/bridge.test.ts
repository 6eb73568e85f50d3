// Parts of the fleet bridge alone: who may name whom, and words put into a call without touching the rest of it.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { membersIn } from "../../src/bridge/discovery/member-cache.ts";
import { withArguments } from "../../src/bridge/insert-arguments.ts";

test("who may name whom: nodes of the tailnet by name, and no one but this machine the ports of this machine", () => {
  const tailnet = { name: "cairn-1.tail1234.ts.net" };
  const named = (toldBy: string, ...names: string[]) =>
    membersIn({ tailnet, members: names.map((name) => ({ name })) }, toldBy);
  expect(named("http://cairn-1", "cairn-1", "cairn-2", "other.tail1234.ts.net")).toEqual([
    "http://cairn-1.tail1234.ts.net",
    "http://cairn-2.tail1234.ts.net",
    "http://other.tail1234.ts.net",
  ]);
  const urls = (toldBy: string, ...list: string[]) =>
    membersIn({ tailnet, members: list.map((url) => ({ name: "x", url })) }, toldBy);
  const odd = [
    "http://169.254.169.254",
    "http://127.0.0.1:22",
    "http://10.0.0.1",
    "http://[::1]",
    "file:///etc/passwd",
  ];
  expect(urls("http://cairn-1", ...odd, "http://cairn-2/mcp", "http://u:p@cairn-2", "http://100.64.0.9")).toEqual([
    "http://100.64.0.9",
  ]);
  expect(urls("http://127.0.0.1:8470", "http://127.0.0.1:8471")).toEqual(["http://127.0.0.1:8471"]);
});

test("arguments are added to any call, and nothing else of it changes", () => {
  const spaces = fc.constantFrom("", " ", "\t", " \n ");
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), spaces, (given, other, space) => {
      const { idempotency_key: _, ...args } = given;
      const before = { jsonrpc: "2.0", 'a"}{': other, params: { name: "x", arguments: args, _meta: other } };
      const text = JSON.stringify(before, undefined, space);
      const made = JSON.parse(withArguments(text, { idempotency_key: 'k"1' }));
      expect(made).toEqual({
        ...JSON.parse(text),
        params: {
          ...JSON.parse(text).params,
          arguments: { ...JSON.parse(text).params.arguments, idempotency_key: 'k"1' },
        },
      });
    }),
  );
  const digits = '{"params":{"arguments":{ "n":1.00000000000000000001 }}}';
  expect(withArguments(digits, { k: "v" })).toBe('{"params":{"arguments":{"k":"v", "n":1.00000000000000000001 }}}');
  for (const odd of ['{"params":{"arguments":[1]}}', '{"params":{}}', "[]", "7"])
    expect(withArguments(odd, { k: "v" })).toBe(odd);
});
