// SHA-256, and nothing else of a crypto library. Apply code may use this file, since a hash is the same everywhere.

import { createHash, hash } from "node:crypto";

/** Returns the hex SHA-256 of bytes, or of a text as UTF-8. */
export function sha256Hex(bytes: string | Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

/** Returns the SHA-256 of bytes, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", bytes, "buffer"));
}

/** A hash of bytes that come in parts. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  /** Adds bytes, or a text as UTF-8. */
  update(bytes: string | Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** Returns the hash as 64 hex digits. Once, and nothing can be added after it. */
  hex(): string {
    return this.#hash.digest("hex");
  }

  /** Returns the hash as 32 bytes. Once, and nothing can be added after it. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }
}
