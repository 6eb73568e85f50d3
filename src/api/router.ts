// Finds the rows of a request's path. Knows templates and percent-encoding, and nothing of what a row does.

import { Fault } from "../lib/fault.ts";
import type { PathParameter, RouteShape } from "../operation/rest-route.ts";
import type { PathValues } from "./route.ts";

/** All rows of one path. */
export interface Place<R extends RouteShape> {
  /** Rows by method. */
  rows: ReadonlyMap<string, R>;
  /** The methods in the words of the header `Allow`. */
  allow: string;
}

/** The place that a path names, and the values of its parameters. */
export interface Found<R extends RouteShape> {
  place: Place<R>;
  params: PathValues;
}

interface Compiled<R extends RouteShape> extends Place<R> {
  path: string;
  /** The path before its first parameter. */
  prefix: string;
  isWide: boolean;
  pattern: RegExp;
  /** In the order of the path. */
  params: readonly (readonly [string, PathParameter])[];
}

/** The table of routes by path. */
export class Router<R extends RouteShape> {
  /** Paths without parameters. */
  readonly #fixed: ReadonlyMap<string, Place<R>>;
  readonly #wide: readonly Compiled<R>[];
  readonly #narrow: readonly Compiled<R>[];

  constructor(rows: readonly R[]) {
    const places = [...Map.groupBy(rows, ({ path }) => path).values()].map(compile);
    this.#fixed = new Map(places.filter(({ params }) => params.length === 0).map((place) => [place.prefix, place]));
    this.#narrow = places.filter(({ params, isWide }) => params.length > 0 && !isWide);
    // What has more behind the wide parameter says more about the path.
    this.#wide = places.filter(({ isWide }) => isWide).sort((a, b) => b.path.length - a.path.length);
  }

  /** Returns the place of a URL, or undefined. Fault `invalid_input` for percent-encoding that cannot be read. */
  find(url: string): Found<R> | undefined {
    const { pathname } = new URL(url);
    const fixed = this.#fixed.get(pathname);
    if (fixed !== undefined) return { place: fixed, params: {} };
    const root = this.#wide.find(({ prefix }) => pathname.startsWith(prefix) && pathname !== prefix)?.prefix;
    if (root === undefined) return this.#findNarrow(unescaped(pathname));
    const path = root + decoded(pathname.slice(root.length));
    return first(this.#wide, path, (text) => text);
  }

  #findNarrow(path: string): Found<R> | undefined {
    const fixed = this.#fixed.get(path);
    return fixed === undefined ? first(this.#narrow, path, decodedSegment) : { place: fixed, params: {} };
  }
}

function compile<R extends RouteShape>(rows: readonly R[]): Compiled<R> {
  const [{ path, params = {} }] = rows as [R];
  const parts = path.split(/\{(\w+)\}/);
  const named = parts.flatMap((name, index) => (index % 2 === 0 ? [] : [[name, parameter(params, name)] as const]));
  const methods = rows.map(({ method }) => (method === "GET" ? "GET, HEAD" : method));
  const source = parts.map((part, index) =>
    index % 2 === 0 ? RegExp.escape(part) : PATTERNS[parameter(params, part).kind],
  );
  return {
    rows: new Map(rows.map((row) => [row.method, row])),
    allow: [...methods, "OPTIONS"].join(", "),
    path,
    prefix: parts[0] ?? "",
    isWide: named.some(([, { kind }]) => kind === "wide"),
    pattern: new RegExp(`^${source.join("")}$`, "s"),
    params: named,
  };
}

const PATTERNS: Readonly<Record<PathParameter["kind"], string>> = {
  wide: "(.+)",
  segment: "([^/]+)",
  count: "([1-9][0-9]{0,14})",
};

function parameter(params: Readonly<Record<string, PathParameter>>, name: string): PathParameter {
  const found = params[name];
  if (found === undefined) throw new Error(`the path parameter ${name} is not declared`);
  return found;
}

/** Returns the first place whose pattern matches, with its values. */
function first<R extends RouteShape>(
  places: readonly Compiled<R>[],
  path: string,
  decode: (text: string) => string,
): Found<R> | undefined {
  for (const place of places) {
    const match = place.pattern.exec(path);
    if (match === null) continue;
    const values = place.params.map(([name, { kind }], index) => {
      const text = decode(match[index + 1] ?? "");
      return [name, kind === "count" ? Number(text) : text] as const;
    });
    return { place, params: Object.fromEntries(values) };
  }
  return undefined;
}

/** Escapes of characters that need none mean these characters (RFC 3986 6.2.2.2). */
function unescaped(pathname: string): string {
  if (!pathname.includes("%")) return pathname;
  try {
    return decodeURI(pathname.replaceAll("%25", "%2525"));
  } catch {
    return pathname;
  }
}

/** A name that cannot be decoded is looked up as it is, and not found. */
function decodedSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Fault("invalid_input", `The path ${JSON.stringify(path.slice(0, 100))} is not valid percent-encoding`, {
      hint: "Encode the id once, as UTF-8.",
    });
  }
}
