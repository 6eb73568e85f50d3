// Writes the documents of a source as contexts: without secrets, with where they came from, and only what has changed
// since an earlier import.

import { idProblem } from "../../features/context/index.ts";
import type { Scrubbed, Scrubber } from "../../features/memory/index.ts";
import { canonicalJson } from "../../lib/canonical-json.ts";
import { forEachConcurrently } from "../../lib/concurrently.ts";
import { isObject } from "../../lib/json-object.ts";
import { type Left, leftBy } from "../left.ts";
import { EXTENSION, idOfPath } from "../names.ts";
import type { NodeCalls } from "../node-calls.ts";
import { bodyHash, MARKDOWN } from "../note.ts";
import { contextsBelow } from "../remote.ts";
import type { Item, Kind, Source } from "./item.ts";

/** Documents that are written at the same time, and that are read ahead. */
const AT_ONCE = 8;
const BATCH = 32;
/** The bounds of contexts, and room in the metadata for where a document came from. */
const MAX_TITLE = 200;
const MAX_TAG = 64;
const MAX_TAGS = 32;
const MAX_OTHER_METADATA_BYTES = 3000;
/** Members of metadata that come from the clock of a file: alone they make no new version. */
const TIMES = ["original_created", "original_updated"];

/** What is imported, and how. */
export interface ImportOptions {
  source: Source;
  /** Without a `/` at its end. */
  prefix: string;
  node: NodeCalls;
  signal: AbortSignal;
  dryRun: boolean;
  /** Also contexts that were changed since they were imported, or that no import wrote. */
  overwrite: boolean;
  scrubber: Scrubber;
  onStep?: (step: ImportStep) => void;
}

/** One document. `kept`: the context was changed since, or is another one. */
export interface ImportStep {
  did: "created" | "updated" | "kept";
  id: string;
  title: string;
  from: string;
}

/** The result of an import. */
export interface ImportReport {
  kind: Kind;
  prefix: string;
  dry_run: boolean;
  created: number;
  updated: number;
  unchanged: number;
  kept: number;
  left: Left[];
  remarks: string[];
  /** Secrets that were removed, by rule. */
  scrubbed: Scrubbed[];
}

interface Existing {
  etag: string;
  title: string;
  tags: readonly string[];
  metadata: Readonly<Record<string, unknown>>;
}

interface Document {
  id: string;
  from: string;
  title: string;
  tags: string[];
  metadata: Record<string, unknown>;
  content: string;
}

/** Imports a source. Rejects with the Faults of source and node; documents that were refused are in the report. */
export async function runImport(options: ImportOptions): Promise<ImportReport> {
  const { source, prefix, dryRun, node, signal, scrubber } = options;
  const report: ImportReport = {
    ...{ kind: source.kind, prefix, dry_run: dryRun, created: 0, updated: 0, unchanged: 0, kept: 0 },
    ...{ left: [], remarks: [], scrubbed: [] },
  };
  const existing = new Map<string, Existing>();
  for await (const row of contextsBelow(node, `${prefix}/`)) existing.set(String(row["id"]), existingOf(row));
  const seen = new Set<string>();
  let batch: Document[] = [];
  const write = async () => {
    await forEachConcurrently(batch, AT_ONCE, (document) => put(document, existing.get(document.id), options, report));
    batch = [];
  };
  for await (const item of source.items(signal)) {
    signal.throwIfAborted();
    if ("why" in item) report.left.push(item);
    else {
      const document = documentOf(item, options, report);
      if (document !== undefined && isFirst(document, seen, report)) batch.push(document);
    }
    if (batch.length >= BATCH) await write();
  }
  await write();
  report.scrubbed = scrubber.found;
  return report;
}

function isFirst({ id, from }: Document, seen: Set<string>, report: ImportReport): boolean {
  if (seen.has(id)) {
    report.left.push({
      place: from,
      why: `an earlier document of the source is ${id} too`,
      hint: "Import them apart, each with its own --prefix.",
    });
    return false;
  }
  seen.add(id);
  return true;
}

/** Returns what is written for an item; undefined where it is left. */
function documentOf(
  item: Item,
  { prefix, source, scrubber }: ImportOptions,
  report: ImportReport,
): Document | undefined {
  const from = item.sourceId;
  const id = idOfPath(prefix, `${item.name}${EXTENSION}`);
  const problem = idProblem(id);
  if (problem !== undefined) {
    report.left.push({
      place: from,
      why: `its id would be ${JSON.stringify(id)}: ${problem}`,
      hint: "Give it a shorter or plainer name, or import with a shorter --prefix.",
    });
    return undefined;
  }
  const say = (text: string | undefined) => text !== undefined && report.remarks.push(`${from}: ${text}`);
  say(item.remark);
  const before = removedBy(scrubber);
  const content = scrubber.text(item.content.toWellFormed());
  const { metadata, leftOut } = boundedMetadata(scrubber.value(item.metadata) as Record<string, unknown>);
  if (leftOut.length > 0)
    say(`of its front matter ${leftOut.join(", ")} has no room in the metadata, and was left out`);
  const tags = tagsOf(item.tags.map((tag) => scrubber.text(tag)));
  if (tags.length < new Set(item.tags).size)
    say(`it has more or longer tags than a context: ${tags.length} were taken`);
  const times = { original_created: item.created, original_updated: item.updated };
  const title = lineOf(scrubber.text(item.title), MAX_TITLE);
  const removed = removedBy(scrubber) - before;
  if (removed > 0) say(`${removed} removed: it looked like a secret (--keep-secrets switches rules off)`);
  return {
    ...{ id, from, title, tags, content },
    metadata: {
      ...metadata,
      ...{
        imported_from: source.kind,
        imported_id: scrubber.text(from).slice(0, 300),
        imported_hash: bodyHash(content),
      },
      ...Object.fromEntries(Object.entries(times).filter(([, time]) => time !== undefined)),
    },
  };
}

function removedBy(scrubber: Scrubber): number {
  return scrubber.found.reduce((sum, { count }) => sum + count, 0);
}

async function put(
  { id, from, ...document }: Document,
  existing: Existing | undefined,
  { node, dryRun, overwrite, onStep, signal }: ImportOptions,
  report: ImportReport,
): Promise<void> {
  signal.throwIfAborted();
  if (existing !== undefined && isSame(document, existing)) {
    report.unchanged += 1;
    return;
  }
  const did = existing === undefined ? "created" : overwrite || isAsImported(existing) ? "updated" : "kept";
  try {
    if (did !== "kept" && !dryRun) {
      const condition = existing === undefined ? { if_none_match: "*" } : { if_match: existing.etag };
      await node.ask("context_put", { id, ...document, content_type: MARKDOWN, ...condition });
    }
    report[did] += 1;
    onStep?.({ did, id, title: document.title, from });
  } catch (error) {
    report.left.push(leftBy(from, error));
  }
}

function isSame({ title, tags, metadata, content }: Omit<Document, "id" | "from">, existing: Existing): boolean {
  const withoutTimes = (object: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !TIMES.includes(name)));
  const one = [title, tags, withoutTimes(metadata), bodyHash(content)];
  const other = [existing.title, existing.tags, withoutTimes(existing.metadata), hashOf(existing)];
  return canonicalJson(one) === canonicalJson(other);
}

/** Reports whether the text of a context still is that of its import. */
function isAsImported(existing: Existing): boolean {
  return existing.metadata["imported_hash"] === hashOf(existing);
}

function hashOf({ etag }: Existing): string {
  return etag.slice(etag.indexOf("-") + 1);
}

function existingOf({ etag, title, tags, metadata }: Readonly<Record<string, unknown>>): Existing {
  return {
    etag: String(etag),
    title: typeof title === "string" ? title : "",
    tags: Array.isArray(tags) ? tags.map(String) : [],
    metadata: isObject(metadata) ? metadata : {},
  };
}

/** Returns the members that have room, small ones first, and the names of those that have not. */
function boundedMetadata(metadata: Readonly<Record<string, unknown>>) {
  const members = Object.entries(metadata).map(([name, value]) => ({
    name,
    value,
    bytes: Buffer.byteLength(canonicalJson({ [name]: value })),
  }));
  let left = MAX_OTHER_METADATA_BYTES;
  const kept = new Set<string>();
  for (const { name, bytes } of [...members].sort((one, other) => one.bytes - other.bytes)) {
    left -= bytes;
    if (left >= 0) kept.add(name);
  }
  return {
    metadata: Object.fromEntries(members.filter(({ name }) => kept.has(name)).map(({ name, value }) => [name, value])),
    leftOut: members.flatMap(({ name }) => (kept.has(name) ? [] : [name])),
  };
}

function tagsOf(tags: readonly string[]): string[] {
  const clean = tags
    .map((tag) => lineOf(tag, Number.POSITIVE_INFINITY))
    .filter((tag) => tag !== "" && tag.length <= MAX_TAG);
  return [...new Set(clean)].slice(0, MAX_TAGS);
}

/** Returns a text as one line of at most so many characters. */
function lineOf(text: string, max: number): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim();
  return line.length <= max
    ? line
    : `${line
        .slice(0, max - 1)
        .toWellFormed()
        .replace(/\uFFFD$/, "")}…`;
}
