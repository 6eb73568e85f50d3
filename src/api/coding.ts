// Content codings of responses (RFC 9110 12.5.3): chooses one by Accept-Encoding, and encodes. Streams are never coded.

import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";

export type Coding = "gzip" | "zstd";

/** Smallest content in bytes that is coded; below it coding costs more than it saves. */
export const MIN_CODED_BYTES = 1024;

/** At equal weight the one that is cheaper for the node. */
const PREFERRED: readonly Coding[] = ["zstd", "gzip"];
/** Members of the header that are read; the rest is ignored. */
const MAX_MEMBERS = 32;

/**
 * Returns the coding that the client weighs highest and not below plain bytes; undefined for plain bytes, also where it
 * accepts nothing that is offered.
 */
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

/** Encodes bytes, on another thread. */
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

/** Returns weights by coding in lower case; members that cannot be read are left out. */
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
