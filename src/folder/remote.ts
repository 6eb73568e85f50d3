// The contexts below a prefix, as a node lists them: what is needed to compare them with files, without their texts.

import { forEachConcurrently } from "../lib/concurrently.ts";
import { Fault } from "../lib/fault.ts";
import { idSyntaxProblem } from "../lib/id-syntax.ts";
import { isObject } from "../lib/json-object.ts";
import type { NodeCalls } from "./node-calls.ts";
import { digestOfFields, isTextType, type Note } from "./note.ts";
import { MAX_FILES } from "./scan.ts";

const PAGE = 500;
const FIELDS = ["version", "etag", "content_type", "title", "tags", "metadata"];
const AT_ONCE = 8;

/** A context as it is listed. */
export interface Listed {
  version: number;
  etag: string;
  contentType: string;
  /** Of its note; of a context that is no text: of the same parts. */
  digest: string;
  hasMetadata: boolean;
}

/** Yields the contexts whose ids begin with a prefix. Throws Fault `too_large` where they are too many. */
export async function* contextsBelow(node: NodeCalls, prefix: string): AsyncGenerator<Record<string, unknown>> {
  let cursor: unknown;
  let count = 0;
  do {
    const input = { prefix, limit: PAGE, fields: FIELDS, ...(cursor === undefined ? {} : { cursor }) };
    const page = await node.ask("context_list", input);
    const rows = rowsOf(page["contexts"]);
    count += rows.length;
    if (count > MAX_FILES)
      throw new Fault("too_large", `There are more than ${MAX_FILES} contexts below ${prefix}`, {
        hint: "Name a longer prefix.",
      });
    yield* rows;
    cursor = page["cursor"];
  } while (cursor !== undefined);
}

/** The contexts below a prefix. */
export class Remote {
  readonly #node: NodeCalls;
  readonly #prefix: string;
  /** By id. */
  listed = new Map<string, Listed>();

  /** `prefix`: without the `/` at its end. */
  constructor(node: NodeCalls, prefix: string) {
    this.#node = node;
    this.#prefix = `${prefix}/`;
  }

  /** Reports whether a text is an id below the prefix. What is none, whatever the node says, may have no file. */
  has(id: string): boolean {
    return id.startsWith(this.#prefix) && idSyntaxProblem(id) === undefined;
  }

  /** Lists all of them. Rejects as `contextsBelow` does. */
  async load(): Promise<void> {
    const listed = new Map<string, Listed>();
    for await (const row of contextsBelow(this.#node, this.#prefix)) {
      const id = String(row["id"]);
      if (this.has(id)) listed.set(id, listedOf(row));
    }
    this.listed = listed;
  }

  /** Looks at some of them again. */
  async refresh(ids: Iterable<string>): Promise<void> {
    await forEachConcurrently([...ids], AT_ONCE, async (id) => {
      const found = await this.look(id);
      if (found instanceof Fault) this.listed.delete(id);
      else this.listed.set(id, found);
    });
  }

  /** Looks at one context. Returns the Fault where there is none to see. */
  async look(id: string): Promise<Listed | Fault> {
    try {
      const found = await this.#node.ask("context_metadata", { id });
      return found["deleted"] === true ? new Fault("deleted", `${id} was deleted`) : listedOf(found);
    } catch (error) {
      if (error instanceof Fault && ["not_found", "deleted", "purged"].includes(error.code)) return error;
      throw error;
    }
  }
}

/** Returns the note in an answer of context_get. */
export function noteOf(got: Readonly<Record<string, unknown>>): Note {
  return { ...fieldsOf(got), body: String(got["content"]) };
}

/** Returns the members of a context that a note has. */
function fieldsOf({
  title,
  tags,
  metadata,
  content_type: type,
}: Readonly<Record<string, unknown>>): Omit<Note, "body"> {
  return {
    title: typeof title === "string" ? title : "",
    tags: Array.isArray(tags) ? tags.map(String) : [],
    metadata: isObject(metadata) ? metadata : {},
    contentType: String(type),
  };
}

function listedOf(row: Readonly<Record<string, unknown>>): Listed {
  const etag = String(row["etag"]);
  const fields = fieldsOf(row);
  return {
    version: Number(row["version"]),
    etag,
    contentType: fields.contentType,
    digest: digestOfFields(fields, etag.slice(etag.indexOf("-") + 1)),
    hasMetadata: Object.keys(fields.metadata).length > 0,
  };
}

/** Reports whether a context can be a file. */
export function isNote({ contentType }: Listed): boolean {
  return isTextType(contentType);
}

function rowsOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
