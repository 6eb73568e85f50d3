// Calls of operations over HTTP that have to succeed.

import { expect } from "bun:test";

/** Calls an operation of the node at a URL, and returns its output. */
export async function callAt(
  url: string,
  operation: string,
  input: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/operations/${operation}`, {
    method: "POST",
    body: JSON.stringify(input),
    headers: { "content-type": "application/json", ...headers },
  });
  const output = (await response.json()) as Record<string, unknown>;
  expect([operation, response.status, output["detail"]]).toEqual([operation, 200, undefined]);
  return output;
}
