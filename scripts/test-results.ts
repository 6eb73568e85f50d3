// Reads the reports of test runners: Bun's junit file and Go's event lines. Only counts and times;
// scripts/test-parts.ts runs them.

import type { Counts } from "./check.ts";
import type { FileTime } from "./test-report.ts";

/** The reason of a skip at the end of a title, as in "binds a low port [needs root]". */
const REASON = /\s*\[([^\]]+)\]$/;
/** What Bun calls a beforeAll or afterAll of a group that is skipped. */
const HOOK = "(unnamed)";
/** So much of a failure's message is in the list at the end; the whole is in the output above. */
const MESSAGE_CHARACTERS = 300;

/**
 * Returns the counts of a junit report. The reason of a skip is in brackets at the end of the title; "" where there is
 * none.
 */
export function readJunit(xml: string): Counts {
  const counts: Counts = { passed: 0, failed: 0, failures: [], skipped: [] };
  for (const [, attributes = "", body = ""] of xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    if (/<(failure|error)\b/.test(body)) {
      counts.failed += 1;
      counts.failures.push(failedTest(attributes, body));
    } else if (/<skipped\b/.test(body)) {
      const name = attribute(attributes, "name");
      if (name !== HOOK) counts.skipped.push(skippedTest(attribute(attributes, "classname"), name));
    } else counts.passed += 1;
  }
  return counts;
}

/** Returns the test files of a junit report with their times. */
export function fileTimes(xml: string): FileTime[] {
  return [...xml.matchAll(/<testsuite\b([^>]*?)\/?>/g)]
    .map(([, attributes = ""]) => ({
      file: attribute(attributes, "name"),
      seconds: Number(attribute(attributes, "time")),
    }))
    .filter(({ file }) => /\.test\.tsx?$/.test(file));
}

/** Returns the counts with every skip that gives no reason counted as a failure as well; it is named as one. */
export function refuseSilentSkips(counts: Counts): Counts {
  const silent = counts.skipped.filter(({ why }) => why === "").length;
  const named = counts.skipped.map(({ name, why }) => ({
    name,
    why: why || "no reason given, which counts as a failure",
  }));
  const failures = [...counts.failures, ...counts.skipped.flatMap(({ name, why }) => (why === "" ? [name] : []))];
  return { ...counts, failed: counts.failed + silent, failures, skipped: named };
}

/** Returns "file: group: title: message" of a failed test, with the start of the message on one line. */
function failedTest(attributes: string, body: string): string {
  const titles = titlesOf(attribute(attributes, "classname"), attribute(attributes, "name"));
  const message = attribute(body, "message").replaceAll(/\s+/g, " ").trim().slice(0, MESSAGE_CHARACTERS);
  return [attribute(attributes, "file"), ...titles, message].filter((word) => word !== "").join(": ");
}

/** Returns the titles from the outermost group to the test. `groups` is as Bun writes it: the innermost group first. */
function titlesOf(groups: string, name: string): string[] {
  return [...(groups === "" ? [] : groups.split(" > ").reverse()), name];
}

/** Which of several reasons holds is not known here. */
function skippedTest(groups: string, name: string): { name: string; why: string } {
  const titles = titlesOf(groups, name);
  const reasons = titles.flatMap((title) => REASON.exec(title)?.[1] ?? []);
  return { name: titles.map((title) => title.replace(REASON, "")).join(": "), why: reasons.join(", ") };
}

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  const entities: Record<string, string> = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&" };
  return value.replace(/&(?:lt|gt|quot|apos|amp|#(\d+)|#x([0-9a-f]+));/gi, (found, decimal, hex) =>
    decimal || hex
      ? String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex, 16))
      : (entities[found] ?? found),
  );
}

interface GoEvent {
  Action: string;
  Package?: string;
  ImportPath?: string;
  Test?: string;
  Output?: string;
  Elapsed?: number;
}

/** Returns the counts of `go test -json`, and lines to print: one for each package, and all output of what failed. */
export function readGoEvents(text: string): { counts: Counts; lines: string[] } {
  const counts: Counts = { passed: 0, failed: 0, failures: [], skipped: [] };
  const lines: string[] = [];
  const output = new Map<string, string[]>();
  const failedIn = new Set<string>();
  for (const line of text.split("\n")) {
    const event = parseEvent(line);
    if (event === undefined) {
      if (line.trim() !== "") lines.push(line);
      continue;
    }
    const place = event.Package ?? event.ImportPath ?? "";
    const key = `${place} ${event.Test ?? ""}`;
    if (event.Output !== undefined) output.set(key, [...(output.get(key) ?? []), event.Output]);
    if (event.Action === "build-fail") lines.push(...(output.get(key) ?? []).map((part) => part.trimEnd()));
    if (event.Action !== "pass" && event.Action !== "fail" && event.Action !== "skip") continue;
    const said = (output.get(key) ?? []).map((part) => part.trimEnd());
    output.delete(key);
    if (event.Test === undefined) {
      if (event.Action !== "skip")
        lines.push(`${event.Action === "pass" ? "ok  " : "FAIL"}  ${place} (${event.Elapsed ?? 0} s)`);
      // A package that does not build, or dies outside its tests.
      if (event.Action === "fail" && !failedIn.has(place)) {
        counts.failed += 1;
        counts.failures.push(place);
        lines.push(...said);
      }
    } else if (event.Action === "pass") counts.passed += 1;
    else if (event.Action === "skip")
      counts.skipped.push({ name: `${place.split("/").pop()} ${event.Test}`, why: skipReason(said) });
    else {
      counts.failed += 1;
      counts.failures.push(`${place.split("/").pop()} ${event.Test}`);
      failedIn.add(place);
      lines.push(...said);
    }
  }
  return { counts, lines };
}

function parseEvent(line: string): GoEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Returns what the test printed before it skipped, without file and line. */
function skipReason(said: readonly string[]): string {
  const reasons = said
    .filter((line) => !/^\s*(===|---)/.test(line))
    .map((line) => line.trim().replace(/^\S+\.go:\d+:\s*/, ""));
  return reasons.filter((line) => line !== "").join(" ");
}
