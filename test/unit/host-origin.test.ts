// Host and Origin of the loopback listener: the same rules that the Go half keeps on the tailnet.

import { expect, test } from "bun:test";
import { judgeHostAndOrigin } from "../../src/lib/host-origin.ts";

const rules = { hosts: ["127.0.0.1:8470", "localhost:8470"], origins: ["https://tools.example.com"] };

const rows: [string, string, Record<string, string>, string | undefined][] = [
  ["a plain client", "POST", { host: "127.0.0.1:8470" }, undefined],
  ["the host in capitals", "GET", { host: "LOCALHOST:8470" }, undefined],
  ["no host", "GET", {}, "misdirected"],
  ["another host", "GET", { host: "evil.example" }, "misdirected"],
  ["the right host on another port", "GET", { host: "localhost:1" }, "misdirected"],
  ["a host that only ends like ours", "GET", { host: "evil-localhost:8470" }, "misdirected"],
  ["its own pages", "POST", { host: "localhost:8470", origin: "http://localhost:8470" }, undefined],
  ["pages of the other name", "POST", { host: "localhost:8470", origin: "http://127.0.0.1:8470" }, "forbidden"],
  ["its own pages by https", "POST", { host: "localhost:8470", origin: "https://localhost:8470" }, "forbidden"],
  ["a foreign page", "POST", { host: "localhost:8470", origin: "http://evil.example" }, "forbidden"],
  ["a foreign page that reads", "GET", { host: "localhost:8470", origin: "http://evil.example" }, "forbidden"],
  ["the origin null", "POST", { host: "localhost:8470", origin: "null" }, "forbidden"],
  ["an allowed origin", "POST", { host: "localhost:8470", origin: "https://tools.example.com" }, undefined],
  [
    "an allowed origin, as browsers send it",
    "POST",
    { host: "localhost:8470", origin: "https://tools.example.com", "sec-fetch-site": "cross-site" },
    undefined,
  ],
  [
    "a request that hides its origin but not its site",
    "POST",
    { host: "localhost:8470", "sec-fetch-site": "cross-site" },
    "forbidden",
  ],
  [
    "an image on a foreign page",
    "GET",
    { host: "localhost:8470", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    "forbidden",
  ],
  [
    "a link on a foreign page",
    "GET",
    {
      host: "localhost:8470",
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
    },
    undefined,
  ],
  [
    "a frame on a foreign page",
    "GET",
    {
      host: "localhost:8470",
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "iframe",
    },
    "forbidden",
  ],
  [
    "a form on a foreign page",
    "POST",
    {
      host: "localhost:8470",
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
    },
    "forbidden",
  ],
  ["the address bar", "GET", { host: "localhost:8470", "sec-fetch-site": "none" }, undefined],
];

test.each(rows)("%s (%s)", (_name, method, headers, refusal) => {
  expect(judgeHostAndOrigin({ method, headers: new Headers(headers) }, rules)?.code).toBe(refusal as never);
});
