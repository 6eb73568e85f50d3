// A response body that is written only as fast as its client reads.

import { expect, test } from "bun:test";
import { Outlet, type OutletOptions } from "../../src/lib/outlet.ts";

const turn = () => Bun.sleep(1);
const textOf = ({ value }: { value?: Uint8Array | undefined }) => Buffer.from(value ?? []).toString("utf8");

function setup(options: Partial<OutletOptions> = {}) {
  const calls = { idle: 0, ends: [] as unknown[] };
  const outlet = new Outlet({
    onIdle: () => void calls.idle++,
    onEnd: (reason) => void calls.ends.push(reason),
    ...options,
  });
  return { calls, outlet, reader: outlet.body.getReader() };
}

test("takes a chunk only while the client waits for one", async () => {
  const { calls, outlet, reader } = setup();
  await turn();
  expect([outlet.idle, calls.idle, outlet.write("too early")]).toEqual([false, 0, false]);
  const first = reader.read();
  await turn();
  expect([outlet.idle, calls.idle]).toEqual([true, 1]);
  expect([outlet.write("a"), outlet.write("b")]).toEqual([true, false]);
  expect(textOf(await first)).toBe("a");
  expect(outlet.idle).toBe(false);
  const second = reader.read();
  await turn();
  expect([calls.idle, outlet.write(new TextEncoder().encode("c"))]).toEqual([2, true]);
  expect(textOf(await second)).toBe("c");
});

test("two reads at once are two turns", async () => {
  const { calls, outlet, reader } = setup();
  const reads = [reader.read(), reader.read()];
  await turn();
  expect(calls.idle).toBe(1);
  outlet.write("a");
  await turn();
  expect(calls.idle).toBe(2);
  outlet.write("b");
  expect((await Promise.all(reads)).map(textOf)).toEqual(["a", "b"]);
});

test("the preface goes first, without a turn", async () => {
  const { calls, outlet, reader } = setup({ preface: "open" });
  expect(textOf(await reader.read())).toBe("open");
  expect([calls.idle, outlet.idle]).toEqual([0, false]);
});

test("ends at once where the client waits, with the last chunk", async () => {
  const { calls, outlet, reader } = setup();
  const read = reader.read();
  await turn();
  outlet.end("bye");
  outlet.end("twice");
  expect(calls.ends).toEqual([undefined]);
  expect(textOf(await read)).toBe("bye");
  expect((await reader.read()).done).toBe(true);
  expect([outlet.write("more"), outlet.idle, outlet.ending, calls.idle]).toEqual([false, false, true, 1]);
});

test("a client that reads late still gets the last chunk, then the end", async () => {
  const { calls, outlet, reader } = setup({ preface: "open" });
  outlet.end("bye");
  expect([calls.ends.length, outlet.ending]).toEqual([0, true]);
  expect(textOf(await reader.read())).toBe("open");
  expect(textOf(await reader.read())).toBe("bye");
  expect((await reader.read()).done).toBe(true);
  expect([calls.ends.length, calls.idle]).toEqual([1, 0]);
});

test("close delivers what was written, cut does not wait", async () => {
  const closed = setup({ preface: "open" });
  closed.outlet.close();
  expect(textOf(await closed.reader.read())).toBe("open");
  expect((await closed.reader.read()).done).toBe(true);
  const cut = setup({ preface: "open" });
  cut.outlet.cut(new Error("broken"));
  await expect(cut.reader.read()).rejects.toThrow("broken");
  expect([closed.calls.ends.length, cut.calls.ends.length]).toEqual([1, 1]);
});

test("a client that goes away ends it once, with its reason", async () => {
  const { calls, outlet, reader } = setup();
  await reader.cancel("gone");
  outlet.close();
  outlet.cut();
  outlet.end("bye");
  expect([calls.ends, outlet.write("more"), outlet.idle]).toEqual([["gone"], false, false]);
});

test("tells when it was written last", async () => {
  const { outlet, reader } = setup();
  const begun = outlet.writtenMs;
  const read = reader.read();
  await Bun.sleep(5);
  expect(outlet.writtenMs).toBe(begun);
  outlet.write("a");
  await read;
  expect(outlet.writtenMs).toBeGreaterThan(begun);
});
