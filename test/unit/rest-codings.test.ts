// Content codings of answers: what Accept-Encoding asks for is what is sent, under an ETag of its own, and conditions
// see through the suffix.

import { expect, test } from "bun:test";
import { negotiateCoding } from "../../src/api/coding.ts";
import { startCore } from "../kit/core.ts";

const TEXT = "All work and no play makes a dull agent. ".repeat(100);
const put = (body: string, headers: Record<string, string> = {}) => ({
  method: "PUT",
  body,
  headers: { "content-type": "text/plain", ...headers },
});

test("the highest weight wins, zero refuses, what cannot be read counts as not there (RFC 9110 12.5.3)", () => {
  const rows: [string | null, string | undefined][] = [
    [null, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["GZip", "gzip"],
    ["x-gzip", "gzip"],
    ["zstd", "zstd"],
    ["br, deflate", undefined],
    ["gzip, deflate, br, zstd", "zstd"],
    ["zstd;q=0.5, gzip;q=0.6", "gzip"],
    ["zstd;q=0, gzip;q=0.001", "gzip"],
    ["gzip;q=0", undefined],
    ["gzip;q=0.000", undefined],
    ["*", "zstd"],
    ["*;q=0", undefined],
    ["zstd;q=0, *", "gzip"],
    ["*;q=0, gzip", "gzip"],
    ["identity", undefined],
    ["identity, gzip;q=0.9", undefined],
    ["identity;q=0.5, gzip;q=0.9", "gzip"],
    ["identity;q=0, br", undefined],
    ["gzip ; q=1.000 , br", "gzip"],
    ["gzip;q=1.001", undefined],
    ["gzip;q=-1", undefined],
    ["gzip;q=1e0", undefined],
    ["gzip;level=9", undefined],
    ["gzipped", undefined],
    ["not gzip", undefined],
    [`${"br,".repeat(100)}gzip`, undefined],
  ];
  for (const [header, coding] of rows) expect([header, negotiateCoding(header)]).toEqual([header, coding]);
});

test("an answer above 1 KB is coded, with its own ETag; the bytes are the same", async () => {
  await using core = startCore();
  const plain = (await core.http("/contexts/a", put(TEXT))).headers.get("etag") ?? "";
  const decode = { gzip: Bun.gunzipSync, zstd: Bun.zstdDecompressSync } as const;
  for (const coding of ["gzip", "zstd"] as const) {
    const coded = await core.http("/contexts/a", { headers: { "accept-encoding": coding } });
    expect(coded.headers.get("content-encoding")).toBe(coding);
    expect(coded.headers.get("etag")).toBe(plain.replace(/"$/, `+${coding}"`));
    expect(coded.headers.get("vary")).toBe("Accept-Encoding");
    const bytes = new Uint8Array(await coded.arrayBuffer());
    expect(bytes.byteLength).toBeLessThan(TEXT.length / 4);
    expect(Buffer.from(decode[coding](bytes)).toString()).toBe(TEXT);
  }
  const identity = await core.http("/contexts/a", { headers: { "accept-encoding": "br" } });
  expect([identity.headers.get("content-encoding"), identity.headers.get("etag")]).toEqual([null, plain]);
  expect([identity.headers.get("vary"), await identity.text()]).toEqual(["Accept-Encoding", TEXT]);
});

test("1024 bytes are coded, 1023 are not; so are lists and outputs, not problems, not what has no body", async () => {
  await using core = startCore();
  const headers = { "accept-encoding": "gzip" };
  for (const [size, coding] of [
    [1023, null],
    [1024, "gzip"],
  ] as const) {
    await core.http("/contexts/a", put("ä".repeat(511) + "x".repeat(size - 1022)));
    expect((await core.http("/contexts/a", { headers })).headers.get("content-encoding")).toBe(coding);
  }
  for (let index = 0; index < 10; index++) await core.http(`/contexts/long-name-${index}`, put("x"));
  const operation = { method: "POST", body: "{}", headers: { ...headers, "content-type": "application/json" } };
  for (const [path, init] of [
    ["/contexts", { headers }],
    ["/operations/context_list", operation],
    ["/openapi.json", { headers }],
  ] as const) {
    const answer = await core.http(path, init);
    expect([path, answer.headers.get("content-encoding")]).toEqual([path, "gzip"]);
    JSON.parse(Buffer.from(Bun.gunzipSync(new Uint8Array(await answer.arrayBuffer()))).toString());
  }
  const problem = await core.http(`/contexts/${"x".repeat(2000)}`, { headers });
  expect([problem.status, problem.headers.get("content-encoding")]).toEqual([400, null]);
});

test("304 names the ETag of what would have been sent; conditions of reads and writes ignore the suffix", async () => {
  await using core = startCore();
  const plain = (await core.http("/contexts/a", put(TEXT))).headers.get("etag") ?? "";
  const gzipped = plain.replace(/"$/, '+gzip"');
  for (const known of [plain, gzipped, plain.replace(/"$/, '+zstd"'), `W/${gzipped}`]) {
    const headers = { "if-none-match": known, "accept-encoding": "gzip" };
    const unchanged = await core.http("/contexts/a", { headers });
    expect([known, unchanged.status, unchanged.headers.get("etag"), unchanged.headers.get("vary")]).toEqual([
      known,
      304,
      gzipped,
      "Accept-Encoding",
    ]);
    expect([unchanged.headers.get("content-encoding"), unchanged.headers.get("content-type"), unchanged.body]).toEqual([
      null,
      null,
      null,
    ]);
  }
  expect((await core.http("/contexts/a", put("2", { "if-match": gzipped }))).status).toBe(200);
  expect((await core.http("/contexts/a", put("3", { "if-match": gzipped }))).status).toBe(412);
});
