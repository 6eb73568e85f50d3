// Many small documents, written over a node's local socket; other rows catch up with them, read them and check that
// they are there.

import { localHttp } from "../test/kit/agent.ts";

const LANES = 64;
const ANSWER_MS = 40_000;

/** Returns the ids `bench/<name>-0` and so on. */
export function idsOf(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `bench/${name}-${index}`);
}

/** Returns the content of the document with that id. */
export function contentOf(id: string): string {
  return `${id} ${"x".repeat(100)}`;
}

/** Writes a small document; throws when it was not acknowledged. */
export function writeOne(socket: string, id: string, key?: string): Promise<void> {
  return put(socket, id, contentOf(id), {
    "content-type": "text/plain",
    ...(key !== undefined && { "idempotency-key": key }),
  });
}

async function put(socket: string, id: string, body: string, headers: Record<string, string>): Promise<void> {
  const answer = await localHttp(socket, `/contexts/${id}`, {
    method: "PUT",
    body,
    headers,
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (answer.status >= 300) throw new Error(`PUT ${id} was answered with ${answer.status}: ${answer.text}`);
}

/** Writes them all, 64 at a time. */
export function writeAll(socket: string, ids: readonly string[]): Promise<void> {
  return inLanes(ids, (id) => writeOne(socket, id));
}

/** Writes them all with a JSON document in each, 64 at a time. */
export function writeJson(socket: string, ids: readonly string[], json: string): Promise<void> {
  return inLanes(ids, (id) => put(socket, id, json, { "content-type": "application/json" }));
}

/** Returns the ids whose documents this node does not have as they were written. */
export async function missing(socket: string, ids: readonly string[]): Promise<string[]> {
  const lacking: string[] = [];
  await inLanes(ids, async (id) => {
    const answer = await localHttp(socket, `/contexts/${id}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.status !== 200 || answer.text !== contentOf(id)) lacking.push(id);
  });
  return lacking;
}

async function inLanes(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) await work(id);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
