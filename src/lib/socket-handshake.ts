// What a server answers to the handshake of a WebSocket: the head, and the body of an answer that refuses it.

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";
/** Statuses of answers without a body. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Gathers an answer of HTTP/1.1. */
export class HandshakeAnswer {
  status = 0;
  headers = new Headers();
  #bytes: Buffer = Buffer.alloc(0);
  #isOver = false;

  /**
   * Adds bytes. Returns true once the answer is whole; what comes behind a 101 is what `rest` returns. Throws where it
   * is none.
   */
  push(bytes: Uint8Array): boolean {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.status === 0 && !this.#readHead()) return false;
    if (this.status === 101) return true;
    if (this.#bytes.byteLength > 2 * MAX_BODY_BYTES) return true;
    const length = this.headers.get("content-length");
    if (NO_BODY.has(this.status)) return true;
    if (length !== null) return this.#bytes.byteLength >= Number(length);
    return this.#isChunked() && chunksOf(this.#bytes).isWhole;
  }

  /** The connection ended. Returns whether there is an answer. */
  ended(): boolean {
    this.#isOver = true;
    return this.status !== 0 && this.status !== 101;
  }

  /** What came behind the head. */
  rest(): Uint8Array {
    return this.#bytes;
  }

  /** Returns a refusal. A body that is cut or too long is left out. */
  response(): Response {
    const { status, headers } = this;
    const length = headers.get("content-length");
    const { body, isWhole } = this.#isChunked()
      ? chunksOf(this.#bytes)
      : { body: this.#bytes, isWhole: length === null ? this.#isOver : this.#bytes.byteLength >= Number(length) };
    const left = new Headers(headers);
    for (const name of ["transfer-encoding", "content-length", "connection"]) left.delete(name);
    const isGiven = isWhole && body.byteLength <= MAX_BODY_BYTES && !NO_BODY.has(status);
    if (!isGiven) for (const name of ["content-encoding", "content-type"]) left.delete(name);
    return new Response(isGiven ? new Uint8Array(body) : null, { status, headers: left });
  }

  #isChunked(): boolean {
    return (this.headers.get("transfer-encoding") ?? "").toLowerCase() === "chunked";
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end < 0 && this.#bytes.byteLength < MAX_HEAD_BYTES) return false;
    if (end < 0) throw new Error("its answer has no end of the head");
    const [first = "", ...lines] = this.#bytes.subarray(0, end).toString("latin1").split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? "0");
    if (status !== 101 && (status < 200 || status > 599)) throw new Error("its answer is no HTTP");
    for (const line of lines) {
      const at = line.indexOf(":");
      if (at < 1) throw new Error("its answer is no HTTP");
      this.headers.append(line.slice(0, at), line.slice(at + 1).trim());
    }
    this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
    this.status = status;
    return true;
  }
}

/** Reads the chunks of a body (RFC 9112 7.1). */
function chunksOf(bytes: Buffer): { body: Buffer; isWhole: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    const size = end < 0 ? Number.NaN : Number.parseInt(bytes.subarray(at, end).toString("latin1"), 16);
    const isWhole = size === 0;
    if (isWhole || Number.isNaN(size) || end + 2 + size > bytes.byteLength)
      return { body: Buffer.concat(parts), isWhole };
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 4 + size;
  }
}
