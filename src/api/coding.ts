// Content codings of answers (RFC 9110 12.5.3): which one a request asks for, and the bytes in it. Streams are never coded.

import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";

export type Coding = "gzip" | "zstd";

/** Answers below this size go out as they are: coding them costs more than it saves. In bytes. */
export const MIN_CODED_BYTES = 1024;

/** At equal weight the one that is cheaper for the node. */
const PREFERRED: readonly Coding[] = ["zstd", "gzip"];
/** More members of the header than this are not looked at. */
const MAX_MEMBERS = 32;

/** The coding that the client weighs highest and not below plain bytes; undefined for plain bytes, also where nothing that is offered is accepted. */
export function negotiateCoding(acceptEncoding: string | null): Coding | undefined {
  if (acceptEncoding === null) return undefined;
  const weights = weightsOf(acceptEncoding);
  const star = weights.get("*");
  const [best] = PREFERRED.map((coding) => ({ coding, weight: weights.get(coding) ?? star ?? 0 })).sort(
    (one, other) => other.weight - one.weight,
  );
  // Plain bytes are acceptable unless refused by name, but are asked for only where they are named.
  return best !== undefined && best.weight > 0 && best.weight >= (weights.get("identity") ?? 0)
    ? best.coding
    : undefined;
}

/** The same bytes in a coding, made on another thread. */
export function encode(coding: Coding, bytes: Uint8Array): Promise<Uint8Array> {
  return coding === "gzip"
    ? gzipped(bytes, { level: 5 })
    : zstded(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
}

const gzipped = promisify(gzip) as (bytes: Uint8Array, options: { level: number }) => Promise<Uint8Array>;
const zstded = promisify(zstdCompress) as (
  bytes: Uint8Array,
  options: { params: Record<number, number> },
) => Promise<Uint8Array>;

/** Weights by coding in lower case; a member that cannot be read counts as not there, as does its weight. */
function weightsOf(header: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const member of header.split(",", MAX_MEMBERS)) {
    const match = /^\s*([!#$%&'*+.^_`|~0-9a-z-]+)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?$/i.exec(
      member,
    );
    if (match?.[1] === undefined) continue;
    const name = match[1].toLowerCase().replace(/^x-gzip$/, "gzip");
    weights.set(name, match[2] === undefined ? 1 : Number(match[2]));
  }
  return weights;
}
