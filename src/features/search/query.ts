// What a query means: words, and texts of which a row must have each as a part. No character of it is an operator.

import { Fault } from "../../lib/fault.ts";
import { type Facet, facetToken, flat, partTokens, wordsIn } from "./tokens.ts";

/** Most characters of a query. */
export const MAX_QUERY = 256;
/** Most words of a query. */
const MAX_WORDS = 16;
/** Most runs of three characters that are looked up: what they find is compared with the text. */
const MAX_PARTS = 32;

/** A parsed query. */
export interface Query {
  /** Without case and accents, each once. */
  words: readonly string[];
  /** Its pieces between white space, flat. */
  pieces: readonly string[];
  /** All of it, flat. */
  whole: string;
}

/** Parses a query. Throws Fault `invalid_input` where it has nothing to look for. */
export function parseQuery(text: string): Query {
  // Of an identifier the whole is asked for; its parts are found by it alone. So are the characters of pairs.
  const asked = [...wordsIn(text)].filter(({ gram }) => gram !== "in pair");
  const words = new Set(asked.flatMap(({ words: [word = ""] }) => (word === "" ? [] : [word])));
  const whole = flat(text).trim();
  const pieces = whole.split(" ").filter((piece) => piece.length >= 3);
  if (words.size > 0 || pieces.length > 0) {
    return { words: [...words].slice(0, MAX_WORDS), pieces: pieces.slice(0, MAX_WORDS), whole };
  }
  throw new Fault("invalid_input", `${JSON.stringify(text.slice(0, 80))} holds neither a word nor three characters`, {
    hint: "Search for a word, or for three characters in a row or more.",
    details: { field: "query" },
  });
}

/** One word, or any of several. */
export type Term = string | readonly string[];

/** By what a search is narrowed in the index: each facet has to be there. */
export type Facets = readonly (readonly [Facet, string])[];

/** Returns the expression of FTS5 for rows that have every term. Each token is quoted, so nothing in it is syntax. */
export function allOf(terms: readonly Term[], facets: Facets): string {
  const each = terms.map((term) => (typeof term === "string" ? quoted(term) : `(${term.map(quoted).join(" OR ")})`));
  return [...each, ...facetsOf(facets)].join(" AND ");
}

/** Returns the expression for rows that may have every piece as a part; "" where no piece is long enough. */
export function partsOf(pieces: readonly string[], facets: Facets): string {
  const tokens = [...new Set(pieces.flatMap((piece) => [...partTokens(piece)]))].slice(0, MAX_PARTS);
  return tokens.length === 0 ? "" : [...tokens.map(quoted), ...facetsOf(facets)].join(" AND ");
}

function facetsOf(facets: Facets): string[] {
  return facets.map(([facet, value]) => quoted(facetToken(facet, value)));
}

function quoted(token: string): string {
  return `"${token}"`;
}
