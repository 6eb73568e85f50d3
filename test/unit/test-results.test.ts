// The one line at the end of npm test is only as good as the reading of the runners' reports.

import { expect, test } from "bun:test";
import { fileTimes, readGoEvents, readJunit, refuseSilentSkips } from "../../scripts/test-results.ts";

test("readJunit() counts, and names what was skipped with its reason", () => {
  const xml = `<testsuites><testsuite name="a.test.ts">
    <testcase name="adds" classname="sums" time="0.1" />
    <testcase name="fails &quot;loudly&quot;" classname="in &gt; groups" time="1" file="test/unit/a.test.ts" line="3">
      <failure type="AssertionError" message="Expected: 1&#10;Received:   2&#10;">x &lt; y</failure></testcase>
    <testcase name="as another user [needs root]" classname="socket"><skipped /></testcase>
    <testcase name="somehow" classname=""><skipped/></testcase>
    <testcase name="ends" classname="running [needs qemu] &gt; arm64 [needs gcc]"><skipped /></testcase>
    <testcase name="(unnamed)" classname="running [needs qemu]"><skipped /></testcase>
  </testsuite></testsuites>`;
  expect(readJunit(xml)).toEqual({
    passed: 1,
    failed: 1,
    failures: ['test/unit/a.test.ts: groups: in: fails "loudly": Expected: 1 Received: 2'],
    skipped: [
      { name: "socket: as another user", why: "needs root" },
      { name: "somehow", why: "" },
      { name: "arm64: running: ends", why: "needs gcc, needs qemu" },
    ],
  });
  expect(refuseSilentSkips(readJunit(xml))).toEqual({
    passed: 1,
    failed: 2,
    failures: ['test/unit/a.test.ts: groups: in: fails "loudly": Expected: 1 Received: 2', "somehow"],
    skipped: [
      { name: "socket: as another user", why: "needs root" },
      { name: "somehow", why: "no reason given, which counts as a failure" },
      { name: "arm64: running: ends", why: "needs gcc, needs qemu" },
    ],
  });
});

test("fileTimes() names files, not the groups in them", () => {
  const xml = `<testsuites>
    <testsuite name="test/unit/a.test.ts" tests="1" time="1.5"><testsuite name="group" time="9"></testsuite></testsuite>
    <testsuite name="test/unit/b.test.ts" tests="1" time="4"></testsuite>
    <testsuite name="test/unit/c.test.ts" tests="1" time="0.2"></testsuite>
  </testsuites>`;
  expect(fileTimes(xml)).toEqual([
    { file: "test/unit/a.test.ts", seconds: 1.5 },
    { file: "test/unit/b.test.ts", seconds: 4 },
    { file: "test/unit/c.test.ts", seconds: 0.2 },
  ]);
});

const event = (value: object): string => JSON.stringify(value);

test("readGoEvents() counts tests, shows what failed and why others were skipped", () => {
  const { counts, lines } = readGoEvents(
    [
      event({ Action: "run", Package: "m/core", Test: "TestA" }),
      event({ Action: "pass", Package: "m/core", Test: "TestA" }),
      event({ Action: "output", Package: "m/core", Test: "TestB", Output: "    b_test.go:3: got 1, want 2\n" }),
      event({ Action: "fail", Package: "m/core", Test: "TestB" }),
      event({ Action: "output", Package: "m/core", Test: "TestC", Output: "    c_test.go:9: needs root\n" }),
      event({ Action: "output", Package: "m/core", Test: "TestC", Output: "--- SKIP: TestC (0.00s)\n" }),
      event({ Action: "skip", Package: "m/core", Test: "TestC" }),
      event({ Action: "fail", Package: "m/core", Elapsed: 1 }),
    ].join("\n"),
  );
  expect(counts).toEqual({
    passed: 1,
    failed: 1,
    failures: ["core TestB"],
    skipped: [{ name: "core TestC", why: "needs root" }],
  });
  expect(lines.join("\n")).toContain("got 1, want 2");
});

test("readGoEvents() counts a package that does not build, or dies, as a failure", () => {
  const { counts } = readGoEvents(
    [
      event({ Action: "build-fail", ImportPath: "m/x" }),
      event({ Action: "fail", Package: "m/x", FailedBuild: "m/x" }),
    ].join("\n"),
  );
  expect(counts).toEqual({ passed: 0, failed: 1, failures: ["m/x"], skipped: [] });
});
