// The HTTP routes of blobs. Bytes go as they are: up in parts, with Content-Range where a blob has more than one; down
// as a stream, with Range.

import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import type { PathParameter, QueryParameter, RawBody, RestRoute } from "../../operation/rest-route.ts";

const tag = "blobs";
const sha256: PathParameter = { kind: "segment", maxLength: 64, description: "SHA-256 of the bytes, 64 hex digits" };
const space: QueryParameter = { kind: "text", description: 'The space that the blob is in (default "default")' };

/** `bytes 0-4194303/10000000`, or with a star for the range where only the state is asked for. */
const CONTENT_RANGE = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/;

/** The routes. */
export const blobRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/blobs",
    operationId: "listBlobs",
    summary: "List blobs",
    tag,
    operation: "blob_list",
    query: {
      space: { kind: "text", description: "Only blobs of this space" },
      limit: { kind: "count", description: "At most this many" },
      cursor: { kind: "text", description: "The cursor of the previous page" },
    },
    response: { kind: "json" },
  },
  {
    method: "GET",
    path: "/blobs/{sha256}",
    params: { sha256 },
    operationId: "getBlob",
    summary: "Get the bytes of a blob, or a range of them",
    tag,
    operation: "blob_get",
    query: { space },
    conditions: ["if-match", "if-none-match"],
    response: {
      kind: "bytes",
      partBytes: PART_BYTES,
      partOf: (output) => ({
        data: Buffer.from(String(output["data"]), "base64"),
        bytes: Number(output["bytes"]),
        etag: String(output["sha256"]),
        mediaType: String(output["content_type"]),
        modifiedAt: String(output["created_at"]),
      }),
    },
    errors: [412, 416],
  },
  {
    method: "PUT",
    path: "/blobs/{sha256}",
    params: { sha256 },
    operationId: "putBlob",
    summary: "Put a blob, or the next part of one",
    tag,
    operation: "blob_put",
    query: {
      space,
      copies: { kind: "count", description: "Full members that hold it before it counts as stored", maximum: 5 },
      keep_hours: { kind: "count", description: "Hours for which it is kept while no context refers to it" },
    },
    body: {
      kind: "decoded",
      members: ["bytes", "offset", "data", "content_type"],
      types: ["application/octet-stream"],
      maxBytes: PART_BYTES,
      headers: {
        "Content-Range":
          "bytes FIRST-LAST/SIZE of this part, or bytes */SIZE without a body to ask how much has arrived; left out: the whole blob",
      },
      decode: (body) => ({ input: partOf(body) }),
    },
    // 202 until enough members hold all of it.
    response: { kind: "json", accepted: ({ stored }) => stored !== true },
  },
  {
    method: "DELETE",
    path: "/blobs/{sha256}",
    params: { sha256 },
    operationId: "removeBlob",
    summary: "Remove a blob to which no context refers",
    tag,
    operation: "blob_remove",
    query: { space },
    response: { kind: "json" },
    errors: [409],
  },
];

/** Returns the arguments that body and headers make. Fault `invalid_input`. */
function partOf({ bytes, contentType, headers }: RawBody): Record<string, unknown> {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  const type = contentType === null ? {} : { content_type: contentType };
  const range = headers["content-range"];
  if (range === undefined) return { ...type, bytes: bytes.byteLength, offset: 0, data };
  const [, first, last, size] = CONTENT_RANGE.exec(range) ?? [];
  const isState = first === undefined && bytes.byteLength === 0;
  if (size !== undefined && isState) return { ...type, bytes: Number(size) };
  if (size !== undefined && first !== undefined && Number(last) - Number(first) + 1 === bytes.byteLength)
    return { ...type, bytes: Number(size), offset: Number(first), data };
  throw new Fault(
    "invalid_input",
    `Content-Range ${JSON.stringify(range.slice(0, 80))} does not fit the body of ${bytes.byteLength} bytes`,
    {
      hint: "Send bytes FIRST-LAST/SIZE for a part, or bytes */SIZE without a body to ask how much has arrived.",
    },
  );
}
