// Reads the numbers of a model from an ONNX file (a protocol buffer). What is to be computed with them is not read.

import { Fault } from "../../../../lib/fault.ts";
import { textOfUtf8 } from "../../../../lib/utf8.ts";

/** Types of ONNX. */
const FLOAT = 1;
const INT8 = 3;

/** Named numbers in the order of the file. */
export interface Tensors {
  floats: ReadonlyMap<string, Float32Array>;
  /** Rows of 8-bit numbers. */
  bytes: ReadonlyMap<string, { values: Int8Array; rows: number; columns: number }>;
}

/** Fields of a message: a number, or bytes. */
type Field = { id: number; value: number } | { id: number; bytes: Uint8Array };

/** Returns the numbers of a model. Throws Fault `invalid_input` where the file is none. */
export function readTensors(file: Uint8Array): Tensors {
  const floats = new Map<string, Float32Array>();
  const bytes = new Map<string, { values: Int8Array; rows: number; columns: number }>();
  for (const tensor of parts(file, 7).flatMap((graph) => parts(graph, 5))) {
    const { name, type, dims, raw } = tensorOf(tensor);
    const [rows = 1, columns = 1] = dims;
    if (type === FLOAT) floats.set(name, floatsOf(raw));
    if (type === INT8) {
      if (raw.length !== rows * columns) throw notAModel();
      bytes.set(name, { values: new Int8Array(raw.buffer, raw.byteOffset, raw.length), rows, columns });
    }
  }
  return { floats, bytes };
}

function tensorOf(message: Uint8Array): { name: string; type: number; dims: number[]; raw: Uint8Array } {
  const dims: number[] = [];
  let [name, type, raw] = ["", 0, new Uint8Array()];
  for (const field of fieldsOf(message)) {
    if ("value" in field && field.id === 1) dims.push(field.value);
    else if ("value" in field && field.id === 2) type = field.value;
    else if ("bytes" in field && field.id === 1) dims.push(...numbersOf(field.bytes));
    else if ("bytes" in field && field.id === 8) name = textOfUtf8(field.bytes, "it");
    else if ("bytes" in field && field.id === 9) raw = field.bytes as Uint8Array<ArrayBuffer>;
  }
  return { name, type, dims, raw };
}

function floatsOf(raw: Uint8Array): Float32Array {
  if (raw.length % 4 !== 0) throw notAModel();
  // A copy: in the file they may begin anywhere.
  return new Float32Array(new Uint8Array(raw).buffer);
}

function parts(message: Uint8Array, id: number): Uint8Array[] {
  return fieldsOf(message).flatMap((field) => ("bytes" in field && field.id === id ? [field.bytes] : []));
}

function numbersOf(packed: Uint8Array): number[] {
  const reader = { bytes: packed, at: 0 };
  const numbers: number[] = [];
  while (reader.at < packed.length) numbers.push(varint(reader));
  return numbers;
}

function fieldsOf(message: Uint8Array): Field[] {
  const reader = { bytes: message, at: 0 };
  const fields: Field[] = [];
  while (reader.at < message.length) {
    const key = varint(reader);
    const id = Math.floor(key / 8);
    if (key % 8 === 0) fields.push({ id, value: varint(reader) });
    else if (key % 8 === 2) fields.push({ id, bytes: taken(reader, varint(reader)) });
    else if (key % 8 === 1) taken(reader, 8);
    else if (key % 8 === 5) taken(reader, 4);
    else throw notAModel();
  }
  return fields;
}

interface Place {
  bytes: Uint8Array;
  at: number;
}

function taken(reader: Place, length: number): Uint8Array {
  const end = reader.at + length;
  if (end > reader.bytes.length) throw notAModel();
  const found = reader.bytes.subarray(reader.at, end);
  reader.at = end;
  return found;
}

function varint(reader: Place): number {
  let value = 0;
  for (let shift = 1; shift <= 2 ** 63; shift *= 128) {
    const byte = reader.bytes[reader.at] ?? 256;
    reader.at += 1;
    if (byte > 255) break;
    value += (byte & 127) * shift;
    if (byte < 128) return value;
  }
  throw notAModel();
}

function notAModel(): Fault {
  return new Fault("invalid_input", "The file is no ONNX model", { hint: "Name the file model.onnx of the package." });
}
