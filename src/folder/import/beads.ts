// The JSON lines of beads: issues with labels, dependencies and comments, and memories.

import { isObject } from "../../lib/json-object.ts";
import { type Item, textAt, timeText } from "./item.ts";

type Json = Readonly<Record<string, unknown>>;

/** Members of an issue that are metadata under the same names. */
const KEPT = [
  "status",
  "priority",
  "issue_type",
  "assignee",
  "estimated_minutes",
  "external_ref",
  "close_reason",
  "owner",
] as const;

/** Returns the document of a line; undefined for an issue that was deleted, and "unknown" for what is neither. */
export function beadsItem(value: unknown): Item | undefined | "unknown" {
  if (!isObject(value)) return "unknown";
  if (value["_type"] === "memory" && textAt(value, "key") !== "") return memoryItem(value);
  if (textAt(value, "id") === "" || typeof value["title"] !== "string") return "unknown";
  return value["status"] === "tombstone" ? undefined : issueItem(value);
}

function memoryItem(memory: Json): Item {
  const key = textAt(memory, "key");
  const value = memory["value"];
  return {
    ...{ name: `memories/${key}`, title: key, tags: ["memory"], metadata: {}, sourceId: key },
    content: typeof value === "string" ? value : JSON.stringify(value ?? null),
  };
}

function issueItem(issue: Json): Item {
  const id = textAt(issue, "id");
  const title = textAt(issue, "title");
  const sections = [
    ["", textAt(issue, "description")],
    ["Design", textAt(issue, "design")],
    ["Acceptance criteria", textAt(issue, "acceptance_criteria")],
    ["Notes", textAt(issue, "notes")],
    ["Dependencies", dependencies(issue["dependencies"])],
    ["Comments", comments(issue["comments"])],
  ] as const;
  const text = sections
    .filter(([, body]) => body.trim() !== "")
    .map(([heading, body]) => `${heading === "" ? "" : `## ${heading}\n\n`}${body.replace(/\s+$/, "")}\n`);
  const closed = timeText(issue["closed_at"]);
  return {
    name: id,
    title,
    tags: Array.isArray(issue["labels"]) ? issue["labels"].map(String) : [],
    metadata: {
      ...Object.fromEntries(KEPT.flatMap((name) => (isKept(issue[name]) ? [[name, issue[name]]] : []))),
      ...(closed === undefined ? {} : { closed }),
    },
    content: [`# ${title.replaceAll(/\s+/g, " ")}\n`, ...text].join("\n"),
    sourceId: id,
    created: timeText(issue["created_at"]),
    updated: timeText(issue["updated_at"]),
  };
}

function isKept(value: unknown): boolean {
  return (typeof value === "string" && value !== "") || typeof value === "number";
}

function dependencies(value: unknown): string {
  const rows = Array.isArray(value) ? value.filter(isObject) : [];
  return rows.map((row) => `- ${textAt(row, "type") || "depends on"}: ${textAt(row, "depends_on_id")}`).join("\n");
}

function comments(value: unknown): string {
  const rows = Array.isArray(value) ? value.filter(isObject) : [];
  return rows
    .map((row) => {
      const at = timeText(row["created_at"]);
      return `### ${textAt(row, "author") || "unknown"}${at === undefined ? "" : `, ${at}`}\n\n${textAt(row, "text")}\n`;
    })
    .join("\n");
}
