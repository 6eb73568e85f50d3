// Declarations (docs/features.md 5): what a fleet is to do, as contexts below fixed places of the space `fleet`. A
// feature says which kinds it has; features/declare finds out which versions are in force, and gives them to members.

import type { z } from "zod";
import { ServiceKey } from "./services.ts";

/** What is declared of one kind, such as probes. */
export interface DeclaredKind<T = unknown> {
  /** One word, such as `probe`. */
  kind: string;
  /** The place of its contexts, below `fleet/`: `probes` for `fleet/probes/NAME`. */
  place: string;
  /** What one is for, for people and models. */
  summary: string;
  /** Judges the JSON object of a context. Builds of later versions may take more, and must take what this one does. */
  schema: z.ZodType<T>;
  /** A declaration that the schema takes, for help. A test parses it. */
  example: Readonly<Record<string, unknown>>;
  /** Fields that operations write, such as the artifact of a deploy: `declaration_apply` keeps those left out. */
  operated?: readonly string[];
  /** Returns what is wrong with a value that the schema takes, such as a name that others forbid. */
  problem?(value: T, name: string): string | undefined;
}

/** One declaration in force. */
export interface Declaration<T = unknown> {
  name: string;
  /** The context. */
  id: string;
  /** The version of the context that is in force; it need not be the newest. */
  version: number;
  /** The change by which it came into force. */
  seq: number;
  /** When it came into force, log time in ms. */
  sinceMs: number;
  value: T;
}

/** The declarations in force on a full member. */
export interface Declarations {
  /** Returns those of a kind, by name. The list is the same one until something changes. */
  list<T>(kind: DeclaredKind<T>): readonly Declaration<T>[];
  /** Calls a listener soon after any of them changed. Returns the function that removes it. */
  onNews(listener: () => void): () => void;
}

/** The kinds of the build. */
export const DECLARED_KINDS: ServiceKey<readonly DeclaredKind[]> = new ServiceKey("the kinds of declarations");
/** The declarations of a full member. */
export const DECLARATIONS: ServiceKey<Declarations> = new ServiceKey("the declarations");

/** Name of a declaration: the last segment of its context. */
export const DECLARED_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Returns the id of the context of a declaration. */
export function declaredId({ place }: Pick<DeclaredKind, "place">, name: string): string {
  return `fleet/${place}/${name}`;
}
