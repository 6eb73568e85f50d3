// W3C Trace Context as it comes from outside: only what the specification has is taken, and it is written as it says.

import { describe, expect, test } from "bun:test";
import { isSampled, parseTrace, TRACEPARENT, traceMembers, traceOfHeaders } from "../../src/lib/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const VALID = `00-${TRACE}-${SPAN}-01`;

describe("traceparent", () => {
  test("of version 00 is taken with its flags, and written again as it was", () => {
    const context = parseTrace(VALID);
    expect(context).toEqual({ traceId: TRACE, spanId: SPAN, flags: 1, state: "", isRemote: true });
    for (const flags of ["00", "01", "02", "03"]) {
      const written = `00-${TRACE}-${SPAN}-${flags}`;
      const found = parseTrace(written);
      if (found === undefined) throw new Error(written);
      expect([traceMembers(found), isSampled(found)]).toEqual([
        { traceparent: written },
        flags.endsWith("1") || flags.endsWith("3"),
      ]);
      expect(written).toMatch(TRACEPARENT);
    }
  });

  test("with flags that are not known keeps the known ones", () => {
    expect(parseTrace(`00-${TRACE}-${SPAN}-ff`)?.flags).toBe(3);
    expect(parseTrace(`00-${TRACE}-${SPAN}-fc`)?.flags).toBe(0);
  });

  test("of a later version is taken by what version 00 has of it", () => {
    expect(parseTrace(`cc-${TRACE}-${SPAN}-01`)?.traceId).toBe(TRACE);
    expect(parseTrace(`cc-${TRACE}-${SPAN}-01-what-comes-later`)?.spanId).toBe(SPAN);
    expect(parseTrace(`cc-${TRACE}-${SPAN}-01.later`)).toBeUndefined();
  });

  const invalid: [string, unknown][] = [
    ["nothing", ""],
    ["a number", 7],
    ["a list", [VALID]],
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["more than version 00 has", `${VALID}-00`],
    ["two of them", `${VALID}, ${VALID}`],
    ["capitals", VALID.toUpperCase()],
    ["an id of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["a short id", `00-${TRACE.slice(1)}-${SPAN}-001`],
    ["no hex", `00-${TRACE.slice(1)}g-${SPAN}-01`],
    ["other separators", VALID.replaceAll("-", "_")],
    ["a blank before it", ` ${VALID}`],
    ["a line end behind it", `${VALID}\n`],
  ];
  for (const [name, written] of invalid)
    test(`that has ${name} counts as absent`, () => expect(parseTrace(written, "a=1")).toBeUndefined());
});

describe("tracestate", () => {
  const stateOf = (text: unknown) => parseTrace(VALID, text)?.state;

  test("is passed on without empty members and blanks", () => {
    expect(stateOf("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).toBe("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    expect(stateOf(" a=1 ,, \t tenant@system=x y")).toBe("a=1,tenant@system=x y");
  });

  test("that is not valid is left out, and the trace goes on", () => {
    const wrong = ["a", "a=", "A=1", "a=1,a=2", "a=b=c", "a=\u00e9", "a=x\u0000", `a=${"x".repeat(257)}`];
    const many = Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(",");
    for (const text of [...wrong, many, `a=${"x".repeat(200)},b=${"x".repeat(200)},c=${"x".repeat(200)}`, 7, ["a=1"]])
      expect([text, stateOf(text)]).toEqual([text, ""]);
    expect(stateOf(Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(","))).toContain("k31=1");
  });

  test("comes with the headers of a request, also in several", () => {
    const headers = new Headers({ traceparent: VALID, tracestate: "a=1" });
    headers.append("tracestate", "b=2");
    const context = traceOfHeaders(headers);
    expect(context && traceMembers(context)).toEqual({ traceparent: VALID, tracestate: "a=1,b=2" });
    headers.append("traceparent", VALID);
    expect(traceOfHeaders(headers)).toBeUndefined();
    expect(traceOfHeaders(new Headers({ tracestate: "a=1" }))).toBeUndefined();
  });
});
