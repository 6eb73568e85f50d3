// Writes log lines to stderr: readable text on a terminal, JSON lines otherwise, without secrets and without characters
// that control a terminal. All other folders log through `logFor`.

import { writeSync } from "node:fs";
import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import { printableLine } from "../lib/printable.ts";
import { isWritten, knowPart, type Level, setProcessLevel } from "./log-levels.ts";
import { redactFields, redactText } from "./redact.ts";

export type { Level } from "./log-levels.ts";
/** Writes one line. `fields` is data for machines; people must be able to understand `message` without it. */
export type LogLine = (level: Level, message: string, fields?: Record<string, unknown>) => void;

export interface LoggingOptions {
  level: Level;
  /** `auto` is `pretty` on a terminal and `json` otherwise. */
  format: "auto" | "pretty" | "json";
  /** Receives finished lines. Default: writes to stderr. */
  write?: (line: string) => void;
}

/** Configures logging for the whole process; a second call replaces the first. */
export function configureLogging(options: LoggingOptions): void {
  const pretty = options.format === "pretty" || (options.format === "auto" && process.stderr.isTTY === true);
  const write = options.write ?? writeStderr;
  const colour = pretty && process.stderr.isTTY === true && !process.env["NO_COLOR"];
  setProcessLevel(options.level);
  const format = pretty ? (record: LogRecord) => prettyLine(record, colour) : jsonLine;
  configureSync({
    reset: true,
    sinks: { lines: (record: LogRecord) => write(format(record)) },
    loggers: [
      { category: "cairn", lowestLevel: "debug", sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
}

/** Returns the log of one part of the process, such as `store` or `tailnet`. */
export function logFor(part: string): LogLine {
  const logger = getLogger(["cairn", part]);
  knowPart(part);
  return (level, message, fields = {}) => {
    if (isWritten(part, level)) logger[level]("{message}", { message, fields });
  };
}

function messageOf(record: LogRecord): string {
  const given = record.properties["message"];
  return redactText(typeof given === "string" ? given : record.message.map(String).join(""));
}

function fieldsOf(record: LogRecord): Record<string, unknown> {
  return redactFields(record.properties["fields"] ?? {}) as Record<string, unknown>;
}

/** Returns one JSON object: the fields, then time, level, part and message, which fields cannot replace. */
function jsonLine(record: LogRecord): string {
  const head = {
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    part: record.category.slice(1).join("."),
  };
  return `${JSON.stringify({ ...fieldsOf(record), ...head, message: printableLine(messageOf(record)) })}\n`;
}

const COLOURS: Record<string, string> = { warning: "\u001b[33m", error: "\u001b[31m", debug: "\u001b[2m" };

function prettyLine(record: LogRecord, colour: boolean): string {
  const time = new Date(record.timestamp).toTimeString().slice(0, 8);
  const fields = Object.entries(fieldsOf(record)).map(
    ([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const text = printableLine(
    `${time} ${record.level.padEnd(7)} ${record.category.slice(1).join(".")}: ${messageOf(record)}${fields.join("")}`,
  );
  const paint = colour ? COLOURS[record.level] : undefined;
  return paint === undefined ? `${text}\n` : `${paint}${text}\u001b[0m\n`;
}

/** Writes synchronously, so that the last line before an exit is not lost; if the pipe is full, through the buffer. */
function writeStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    process.stderr.write(line);
  }
}
