// Checks responses against an OpenAPI document: status, media type, our headers, and the body against its schema.

import { z } from "zod";

type Json = Record<string, unknown>;

/** Headers that a description must name where a response has them. */
const OURS = /^(cairn-.+|etag|last-modified|allow|accept-patch|retry-after)$/;

export class Description {
  readonly document: Json;
  readonly #schemas = new Map<string, z.ZodType>();

  constructor(document: Json) {
    this.document = document;
  }

  /** Returns `[method, path template]` of every row. */
  rows(): [string, string][] {
    return Object.entries(this.#at("paths") as Record<string, Json>).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== "parameters")
        .map((method): [string, string] => [method.toUpperCase(), path]),
    );
  }

  /** Returns the names of the parameters of a row that are `where`. */
  parameters(method: string, path: string, where: "query" | "header" | "path"): string[] {
    const paths = this.#at("paths", path) as Json;
    const own = this.#at("paths", path, method.toLowerCase()) as Json;
    const all = [...((paths["parameters"] ?? []) as Json[]), ...((own["parameters"] ?? []) as Json[])];
    return all.filter((parameter) => parameter["in"] === where).map((parameter) => String(parameter["name"]));
  }

  /** Returns whether a row names that header for a status. */
  hasHeader(method: string, path: string, status: number, name: string): boolean {
    const responses = this.#at("paths", path, method.toLowerCase(), "responses") as Json;
    const described = this.#resolved(responses[String(status)]);
    return Object.hasOwn((described["headers"] ?? {}) as Json, name);
  }

  /** Returns what is wrong with a response to a row; empty when it is as described. */
  problems(method: string, path: string, response: Response, text: string): string[] {
    const responses = this.#at("paths", path, method.toLowerCase(), "responses") as Json;
    const found = responses[String(response.status)];
    if (found === undefined) return [`${response.status} is not described`];
    const described = this.#resolved(found);
    const headers = Object.keys((described["headers"] ?? {}) as Json).map((name) => name.toLowerCase());
    const unnamed = [...response.headers.keys()].filter((name) => OURS.test(name) && !headers.includes(name));
    const problems = unnamed.map((name) => `the header ${name} of ${response.status} is not described`);
    return [...problems, ...this.#bodyProblems(described, response, text)];
  }

  /** Returns the pointers of references whose target is missing. */
  brokenReferences(): string[] {
    const pointers = [...JSON.stringify(this.document).matchAll(/"\$ref":"([^"]+)"/g)].map((found) => found[1] ?? "");
    return [...new Set(pointers)].filter((pointer) => {
      try {
        this.#resolved({ $ref: pointer });
        return false;
      } catch {
        return true;
      }
    });
  }

  #bodyProblems(described: Json, response: Response, text: string): string[] {
    const content = described["content"] as Record<string, Json> | undefined;
    if (content === undefined) return text === "" ? [] : [`${response.status} has a body that is not described`];
    const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim() ?? "";
    const media = content[type];
    if (media === undefined) return [`the type ${type} of ${response.status} is not described`];
    const schema = media["schema"];
    if (schema === undefined || !/json$/.test(type)) return [];
    const checked = this.#schema(schema).safeParse(JSON.parse(text));
    return checked.success ? [] : [`${response.status}: ${checked.error.message}\n${text.slice(0, 500)}`];
  }

  #schema(schema: unknown): z.ZodType {
    const key = JSON.stringify(schema);
    const known = this.#schemas.get(key);
    if (known !== undefined) return known;
    const made = z.fromJSONSchema(this.#inlined(schema) as Parameters<typeof z.fromJSONSchema>[0]);
    this.#schemas.set(key, made);
    return made;
  }

  /** Returns the schema with its references replaced by their targets. */
  #inlined(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#inlined(item));
    if (typeof value !== "object" || value === null) return value;
    if ("$ref" in value) return this.#inlined(this.#resolved(value));
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#inlined(item)]));
  }

  #resolved(value: unknown): Json {
    const pointer = (value as Json)["$ref"];
    if (typeof pointer !== "string") return value as Json;
    return this.#at(...pointer.replace(/^#\//, "").split("/")) as Json;
  }

  #at(...names: string[]): unknown {
    let value: unknown = this.document;
    for (const name of names) {
      value = (value as Json)[name];
      if (value === undefined) throw new Error(`the description has no ${names.join(" → ")}`);
    }
    return value;
  }
}
