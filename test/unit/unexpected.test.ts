// What a caught error says of itself, and what becomes of errors that should not happen.

import { expect, test } from "bun:test";
import { isObject, parseObject } from "../../src/lib/json-object.ts";
import { reasonOf } from "../../src/lib/reason-of.ts";
import { traceFields } from "../../src/lib/trace-context.ts";
import { logUnexpected, unexpectedFault } from "../../src/lib/unexpected.ts";
import { configureLogging, logFor } from "../../src/observe/logging.ts";

test("the reason is the message of an error, or the value as text", () => {
  expect([new TypeError("no such thing"), "text", 7, undefined].map(reasonOf)).toEqual([
    "no such thing",
    "text",
    "7",
    "undefined",
  ]);
});

test("an unexpected error is logged under an id, its stack at debug only", () => {
  const lines: string[] = [];
  const error = new Error("secret inside");
  const id = logUnexpected((level, message) => lines.push(`${level} ${message}`), "a page", error);
  expect(id).toMatch(/^[0-9a-f]{8}$/);
  expect(lines[0]).toBe(`error a page failed unexpectedly (${id}): secret inside`);
  expect(lines[1]).toStartWith(`debug a page failed unexpectedly (${id}), where: Error: secret inside`);
  lines.length = 0;
  const other = logUnexpected((level, message) => lines.push(`${level} ${message}`), "a call", "thrown text");
  expect(lines).toEqual([`error a call failed unexpectedly (${other}): thrown text`]);
  expect(other).not.toBe(id);
});

test("an error in a trace is logged with it, as machines look for it", () => {
  const lines: string[] = [];
  configureLogging({ level: "debug", format: "json", write: (line) => lines.push(line) });
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const context = { traceId, spanId: "00f067aa0ba902b7", flags: 3, state: "a=1", isRemote: false };
  logUnexpected(logFor("operation"), "whoami", new Error("no"), traceFields(context));
  logUnexpected(logFor("operation"), "whoami", "no", traceFields(undefined));
  const fields = { trace_id: traceId, span_id: "00f067aa0ba902b7", trace_flags: "03" };
  const [error, where, other] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(error).toMatchObject({ level: "error", part: "operation", ...fields });
  expect(where).toMatchObject({ level: "debug", ...fields });
  expect(Object.keys(other ?? {})).toEqual(["time", "level", "part", "message"]);
});

test("a caller sees the id and nothing of the error", () => {
  const fault = unexpectedFault("The page", "0123abcd");
  expect(fault).toMatchObject({
    code: "internal",
    message: "The page failed unexpectedly (error 0123abcd)",
    hint: "The node's log says more under 0123abcd.",
    details: { error_id: "0123abcd" },
  });
  expect(unexpectedFault("The stream", "0123abcd", "Come back.").hint).toBe("Come back.");
});

test("objects are kept apart from arrays and null, in values and in texts", () => {
  expect([{}, [], null, "{}", 1, undefined].map(isObject)).toEqual([true, false, false, false, false, false]);
  expect(['{"a":1}', "[]", "null", "{", ""].map(parseObject)).toEqual([
    { a: 1 },
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
