// The bytes of a log entry: a fixed header, then commands as msgpack without records or extensions, documents as text
// inside (replication.md 4). Apply sees only what is decoded from these bytes, whichever engine carried them.

import { z } from "zod";
import { AGENT_KEY, AGENT_NAME } from "../lib/agent-key.ts";
import { MAX_DOCUMENT_BYTES, TRAVEL_ROOM_BYTES } from "../lib/bounds.ts";
import { MAX_CALLER_NAME } from "../lib/caller-name.ts";
import { MAX_CLIENT } from "../lib/client-claim.ts";
import { Fault } from "../lib/fault.ts";
import { plainPackr, withoutUndefined } from "../lib/plain-packr.ts";
import type { Command } from "./log.ts";

const ENTRY_FORMAT = 1;
/** Most commands in one entry. */
export const MAX_ENTRY_COMMANDS = 512;
/** Most bytes in one entry, unless a single command is larger. */
export const MAX_ENTRY_BYTES = 256 * 1024;
/** Limit of a single command in bytes: the largest document and its envelope. */
export const MAX_COMMAND_BYTES = MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES;
const MAX_DECODED_BYTES = MAX_COMMAND_BYTES + 64;

/** format u8, level u16, origin 16 bytes, ticket u64, stamp u64 (ms), count u16, crc u32: big endian. */
const HEADER_BYTES = 41;
const CRC_AT = 37;

/** The header of an entry; `stampMs` is the time that apply sees. */
export interface EntryHeader {
  level: number;
  /** 16 random bytes that name the proposing process, as hex. */
  origin: string;
  ticket: number;
  stampMs: number;
}

/** A decoded entry. */
export interface DecodedEntry {
  header: EntryHeader;
  commands: Command[];
}

const packr = plainPackr();

/**
 * Name, version, input, caller, via, key; then `true` where a node made the key, or that as a truth value, `inputHash`,
 * and `outcomeBytes` if there is a limit. With a `client` all are there, "" and 0 for what the command does not
 * have. An agent follows it as name, key and type.
 */
const FIELDS = [
  z.string().max(64),
  z.number().int().positive(),
  z.unknown(),
  z.string().max(MAX_CALLER_NAME),
  z.string().max(128),
  z.string().max(256),
] as const;
const FIELD_NAMES = ["name", "version", "input", "caller", "member that forwards", "idempotency key"];

const inputHash = z.string().regex(/^[0-9a-f]{64}$/);
const client = z.string().min(1).max(MAX_CLIENT);
const anyKey = [z.boolean(), inputHash.or(z.literal("")), z.number().int().min(0)] as const;
const agent = [
  z.string().regex(AGENT_NAME),
  z.string().regex(AGENT_KEY),
  z.string().regex(AGENT_NAME).or(z.literal("")),
] as const;
const packedCommand = z.union([
  z.tuple(FIELDS),
  z.tuple([...FIELDS, z.literal(true)]),
  z.tuple([...FIELDS, z.boolean(), inputHash]),
  z.tuple([...FIELDS, z.boolean(), inputHash, z.number().int().positive()]),
  z.tuple([...FIELDS, ...anyKey, client]),
  z.tuple([...FIELDS, ...anyKey, client.or(z.literal("")), ...agent]),
]);
const commands = z.array(packedCommand).min(1).max(MAX_ENTRY_COMMANDS);

/**
 * Packs one command when it is proposed, so that its size is known before commands are batched, and reads back all
 * but its input: an entry that cannot be decoded would stop every member. An entry takes any input, which consists
 * of plain values of bounded depth. Members that are undefined are left out, so apply never finds null for them.
 * Throws `invalid_input` for a field that no entry may hold.
 */
export function packCommand(command: Command): Uint8Array {
  const { name, v, input, caller, via, key } = command;
  const packed = (input: unknown) => packr.pack([name, v, input, caller, via, key, ...furtherFields(command)]);
  const unpacked: unknown = packr.unpack(packed(null));
  if (packedCommand.safeParse(unpacked).success) return packed(withoutUndefined(input));
  const fields = Array.isArray(unpacked) ? unpacked : [];
  const at = FIELDS.findIndex((field, index) => !field.safeParse(fields[index]).success);
  throw new Fault("invalid_input", `The log cannot hold the ${FIELD_NAMES[at] ?? "command"} of this write`, {
    hint: at === 3 ? `Names of callers have at most ${MAX_CALLER_NAME} characters.` : "Use a shorter one.",
  });
}

/** Returns what follows the key in a packed command. */
function furtherFields({ nodeKey, inputHash, outcomeBytes, client, agent }: Command): readonly unknown[] {
  const anyKey = [nodeKey === true, inputHash ?? "", outcomeBytes ?? 0];
  if (agent !== undefined) return [...anyKey, client ?? "", agent.name, agent.key, agent.type ?? ""];
  if (client !== undefined) return [...anyKey, client];
  if (inputHash === undefined) return nodeKey === true ? [true] : [];
  return [nodeKey === true, inputHash, ...(outcomeBytes === undefined ? [] : [outcomeBytes])];
}

/** Joins packed commands, at least one and at most MAX_ENTRY_COMMANDS, with a header in front. */
export function encodeEntry(header: EntryHeader, batch: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat([arrayHead(batch.length), ...batch]);
  const entry = Buffer.allocUnsafe(HEADER_BYTES + body.byteLength);
  entry.writeUInt8(ENTRY_FORMAT, 0);
  entry.writeUInt16BE(header.level, 1);
  entry.write(header.origin, 3, 16, "hex");
  entry.writeBigUInt64BE(BigInt(header.ticket), 19);
  entry.writeBigUInt64BE(BigInt(header.stampMs), 27);
  entry.writeUInt16BE(batch.length, 35);
  entry.set(body, HEADER_BYTES);
  entry.writeUInt32BE(checksum(entry), CRC_AT);
  return entry;
}

/** Returns the head of a msgpack array: the bytes in front of its items. */
function arrayHead(length: number): Uint8Array {
  return length < 16 ? Uint8Array.of(0x90 | length) : Uint8Array.of(0xdc, length >> 8, length & 0xff);
}

/** Decodes and checks an entry. Throws an Error that names the problem: a node cannot go on past a damaged entry. */
export function decodeEntry(bytes: Uint8Array): DecodedEntry {
  const entry = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (entry.byteLength < HEADER_BYTES || entry.byteLength > MAX_DECODED_BYTES)
    throw new Error(`log entry of ${entry.byteLength} bytes`);
  const format = entry.readUInt8(0);
  if (format !== ENTRY_FORMAT) throw new Error(`log entry of format ${format}; this version reads ${ENTRY_FORMAT}`);
  if (entry.readUInt32BE(CRC_AT) !== checksum(entry)) throw new Error("log entry with a wrong checksum");
  const decoded = commands.parse(packr.unpack(entry.subarray(HEADER_BYTES)));
  if (decoded.length !== entry.readUInt16BE(35))
    throw new Error(`log entry says ${entry.readUInt16BE(35)} commands and holds ${decoded.length}`);
  return {
    header: {
      level: entry.readUInt16BE(1),
      origin: entry.toString("hex", 3, 19),
      ticket: Number(entry.readBigUInt64BE(19)),
      stampMs: Number(entry.readBigUInt64BE(27)),
    },
    commands: decoded.map(unpackedCommand),
  };
}

function unpackedCommand(fields: z.output<typeof packedCommand>): Command {
  const [name, v, input, caller, via, key, nodeKey, inputHash = "", outcomeBytes = 0, client = ""] = fields;
  const [agent, agentKey = "", type = ""] = fields.slice(10) as [string?, string?, string?];
  return {
    ...{ name, v, input, caller, via, key },
    ...(nodeKey === true ? { nodeKey } : {}),
    ...(inputHash === "" ? {} : { inputHash }),
    ...(outcomeBytes === 0 ? {} : { outcomeBytes }),
    ...(client === "" ? {} : { client }),
    ...(agent === undefined ? {} : { agent: { name: agent, key: agentKey, ...(type === "" ? {} : { type }) } }),
  };
}

/** Returns the CRC-32 of everything but the checksum itself. */
function checksum(entry: Buffer): number {
  return Bun.hash.crc32(entry.subarray(HEADER_BYTES), Bun.hash.crc32(entry.subarray(0, CRC_AT)));
}
