// The REST surface (architecture.md 8): HTTP meaning only, over invoke. Who is calling has been decided before a request gets here.

import { Hono } from "hono";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Invoker } from "../operation/invoke.ts";
import { answerJson, freshnessOf } from "./answer.ts";
import { changeRoutes, contextStream } from "./changes.ts";
import { contextRoutes, notAllowed } from "./contexts.ts";
import type { ApiEnv } from "./env.ts";
import type { StreamTiming } from "./event-stream.ts";
import { EventStreams } from "./event-streams.ts";
import { type NodeFacts, nodeRoutes } from "./node-routes.ts";
import { allowedAt, optionsAnswer } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { commonHeaders, conditionsOf, readJson, readQuery } from "./request.ts";

export interface ApiOptions extends NodeFacts {
  invoker: Invoker;
  /** Times of streams other than the usual ones. */
  streams?: Partial<StreamTiming>;
  /** Called with what is no Fault; answers the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** The mounted REST surface. */
export interface Api {
  fetch(request: Request, caller: Caller): Promise<Response>;
  /** The rights of these callers (by `Caller.id`), or of all, may have changed: their streams are judged or end. */
  callersChanged(ids?: readonly string[]): void;
  /** Event streams that are open now. */
  readonly openStreams: number;
  /** Ends all streams with a reason. */
  close(): void;
}

/** Makes the REST surface over an invoker; requests come with their caller. */
export function createApi(options: ApiOptions): Api {
  const { invoker, onUnexpected } = options;
  const streams = new EventStreams({
    invoker,
    onUnexpected,
    ...(options.streams === undefined ? {} : { timing: options.streams }),
  });
  const app = new Hono<ApiEnv>();

  app.options("*", (c) => optionsAnswer(c.req.raw));
  app.route("/", nodeRoutes(invoker, options));
  app.post("/operations/:name", async (c) => {
    const request = c.req.raw;
    readQuery(request.url, []);
    conditionsOf(request, []);
    const body = await readJson(request, MAX_BODY_BYTES);
    const answer = await invoker.invoke({
      operation: c.req.param("name"),
      input: isObject(body) ? { ...commonHeaders(request), ...body } : body,
      caller: c.env.caller,
      signal: request.signal,
      surface: "rest",
    });
    return answerJson(request, answer.output, { headers: freshnessOf(answer) });
  });
  app.route("/", changeRoutes(invoker, streams));
  app.route("/", contextRoutes(invoker, contextStream(invoker, streams)));

  app.notFound((c) => problemResponse(notFound(c.req.method, c.req.url)));
  app.onError((error) => {
    if (error instanceof Fault) return problemResponse(error);
    return problemResponse(unexpectedFault("The request", onUnexpected(error)));
  });

  return {
    fetch: async (request, caller) => app.fetch(request, { caller }),
    callersChanged: (ids) => streams.callersChanged(ids),
    get openStreams() {
      return streams.size;
    },
    close: () => streams.close(),
  };
}

/** A document, and room for its escapes and the arguments around it. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

function notFound(method: string, url: string): Fault {
  const allowed = allowedAt(url);
  if (allowed !== undefined) return notAllowed(method, allowed);
  return new Fault("not_found", `There is no route ${new URL(url).pathname.slice(0, 100)}`, {
    hint: "GET /openapi.json lists the routes.",
  });
}
