// URIs of resources by their template, `scheme:///{name}`: an empty authority, then the target as path,
// percent-encoded. Parsers of URIs lower, refuse or drop parts of an authority; a path they keep, so that each target
// comes back as it was.

import { Fault } from "../lib/fault.ts";

/** An RFC 6570 template of a scheme, an empty authority and one variable: `scheme:///{name}`. */
export class UriTemplate {
  readonly text: string;
  readonly scheme: string;
  /** Name of the variable. */
  readonly variable: string;
  readonly #pattern: RegExp;

  /** Throws an Error for a template of another form, which is a mistake in a manifest. */
  constructor(text: string) {
    const [, scheme, variable] = /^([a-z][a-z0-9+.-]*):\/\/\/\{(\w+)\}$/.exec(text) ?? [];
    if (scheme === undefined || variable === undefined) throw new Error(`${text} is not a template of resources`);
    this.text = text;
    this.scheme = scheme;
    this.variable = variable;
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
   * Returns the target of a URI, or undefined for another scheme. Also reads what earlier versions of cairn listed
   * (`cairn://team-a/plan`), and what Python's urlunsplit makes of an empty authority (`cairn:/team-a/plan`).
   * Throws `invalid_input` for what is no URI. The operation checks whether the target is valid.
   */
  targetOf(uri: string): string | undefined {
    const rest = this.#pattern.exec(uri)?.[1];
    if (rest === undefined) return undefined;
    const reserved = /[?#]/.exec(rest)?.[0];
    if (reserved !== undefined)
      throw unreadable(uri, `has a bare ${reserved}`, `Write ${reserved} of an id as ${encodeURIComponent(reserved)}.`);
    try {
      return decodeURIComponent(rest);
    } catch {
      throw unreadable(uri, "is not valid percent-encoding", "Encode the id as UTF-8; write % of an id as %25.");
    }
  }
}

/** `:` and `@` may stand in a path (RFC 3986 3.3), and ids often have them. */
function encodedSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll("%3A", ":").replaceAll("%40", "@");
}

function unreadable(uri: string, what: string, hint: string): Fault {
  return new Fault("invalid_input", `The URI ${JSON.stringify(uri.slice(0, 300))} ${what}`, { hint });
}
