// URIs of resources by their template, `scheme:///{name}`: an empty authority, then the target as path,
// percent-encoded. Parsers of URIs lower, refuse or drop parts of an authority; a path they keep, so that each target
// comes back as it was.

import { Fault } from "../lib/fault.ts";
import type { ResourceRequest } from "../operation/mcp-parts.ts";

/** An RFC 6570 template of a scheme, an empty authority and one variable: `scheme:///{name}`. */
export class UriTemplate {
  readonly text: string;
  readonly scheme: string;
  /** Name of the variable. */
  readonly variable: string;
  readonly #pattern: RegExp;
  readonly #queryNames: readonly string[];

  /**
   * `queryNames` are the names that a query may have. Throws an Error for a template of another form, which is a
   * mistake in a manifest.
   */
  constructor(text: string, queryNames: readonly string[] = []) {
    const [, scheme, variable] = /^([a-z][a-z0-9+.-]*):\/\/\/\{(\w+)\}$/.exec(text) ?? [];
    if (scheme === undefined || variable === undefined) throw new Error(`${text} is not a template of resources`);
    this.text = text;
    this.scheme = scheme;
    this.variable = variable;
    this.#queryNames = queryNames;
    this.#pattern = new RegExp(`^${RegExp.escape(scheme)}:/{1,3}([^/].*)$`, "is");
  }

  /** Returns the URI of a target: the one spelling that lists, notifications and indexes use. */
  uriOf(target: string): string {
    return `${this.scheme}:///${target.split("/").map(encodedSegment).join("/")}`;
  }

  /** Reports whether a URI, or a template of one, has this scheme. */
  isOf(uri: string): boolean {
    return this.#pattern.test(uri);
  }

  /**
   * Returns what a URI names, or undefined for another scheme. Also reads what earlier versions of cairn listed
   * (`cairn://team-a/plan`), and what Python's urlunsplit makes of an empty authority (`cairn:/team-a/plan`).
   * Throws `invalid_input` for what is no URI. The operation checks whether the target is valid.
   */
  parse(uri: string): ResourceRequest | undefined {
    const rest = this.#pattern.exec(uri)?.[1];
    if (rest === undefined) return undefined;
    if (rest.includes("#")) throw unreadable(uri, "has a fragment", "Write # of an id as %23.");
    const mark = rest.indexOf("?");
    const query = mark < 0 ? {} : this.#queryOf(uri, rest.slice(mark + 1));
    try {
      // Targets are in this form: a resource is one resource however its letters are composed.
      const target = decodeURIComponent(mark < 0 ? rest : rest.slice(0, mark)).normalize("NFC");
      return { target, query };
    } catch {
      throw unreadable(uri, "is not valid percent-encoding", "Encode the id as UTF-8; write % of an id as %25.");
    }
  }

  #queryOf(uri: string, text: string): ResourceRequest["query"] {
    const query = Object.fromEntries(new URLSearchParams(text));
    const unknown = Object.keys(query).find((name) => !this.#queryNames.includes(name));
    if (unknown === undefined && text !== "") return query;
    const known = this.#queryNames.length === 0 ? "no query" : `a query of ${this.#queryNames.join(", ")} only`;
    throw unreadable(uri, `takes ${known}`, "Write ? of an id as %3F.");
  }
}

/** `:` and `@` are allowed in a path (RFC 3986 3.3), and ids often have them. */
function encodedSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll("%3A", ":").replaceAll("%40", "@");
}

function unreadable(uri: string, what: string, hint: string): Fault {
  return new Fault("invalid_input", `The URI ${JSON.stringify(uri.slice(0, 300))} ${what}`, { hint });
}
