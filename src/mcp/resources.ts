// Contexts as MCP resources: list, template, read and completion, each through an operation, so that only what the caller may read exists here.
// Stored text is only ever the content of a resource or data in `_meta` beside its author, never a name, title or description.

import {
  type CompleteResult,
  type ListResourcesResult,
  type ListResourceTemplatesResult,
  type ReadResourceResult,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Invoker } from "../operation/invoke.ts";
import { asProtocolError } from "./errors.ts";
import { CONTEXT_TEMPLATE, contextIdOf, uriOf } from "./uri.ts";

/** `_meta` key of what is known of a context besides its content. */
const CONTEXT_META = "cairn.internal/context";

const PAGE = 100;
/** The protocol allows no more values in one completion. */
const MAX_COMPLETIONS = 100;

const listed = z.object({
  contexts: z.array(
    z.looseObject({ id: z.string(), content_type: z.string(), size: z.number(), updated_at: z.string() }),
  ),
  cursor: z.string().optional(),
});
const found = z.looseObject({ id: z.string(), content_type: z.string(), content: z.string() });

export class Resources {
  readonly #invoker: Invoker;

  constructor(invoker: Invoker) {
    this.#invoker = invoker;
  }

  async list(caller: Caller, cursor: string | undefined, signal: AbortSignal): Promise<ListResourcesResult> {
    try {
      const page = await this.#page(caller, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) }, signal);
      const resources = page.contexts.map(({ id, content_type, size, ...about }) => ({
        uri: uriOf(id),
        name: id,
        mimeType: content_type,
        size,
        annotations: { lastModified: about.updated_at },
        _meta: { [CONTEXT_META]: about },
      }));
      return { resources, ...(page.cursor === undefined ? {} : { nextCursor: page.cursor }) };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  templates(): ListResourceTemplatesResult {
    return {
      resourceTemplates: [
        {
          uriTemplate: CONTEXT_TEMPLATE,
          name: "context",
          title: "Context",
          description: "One shared context by its id, such as cairn://team-a/plan: the newest version of the document.",
        },
      ],
    };
  }

  async read(caller: Caller, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
    const id = contextIdOf(uri);
    if (id === undefined) throw new ResourceNotFoundError(uri);
    try {
      const { output } = await this.#invoker.invoke({
        operation: "context_get",
        input: { id, format: "text" },
        caller,
        signal,
        surface: "mcp",
      });
      const { content, content_type, id: _, ...about } = found.parse(output);
      return { contents: [{ uri, mimeType: content_type, text: content, _meta: { [CONTEXT_META]: about } }] };
    } catch (error) {
      throw asProtocolError(error, uri);
    }
  }

  /** Ids that start with what was typed. */
  async complete(caller: Caller, typed: string, signal: AbortSignal): Promise<CompleteResult> {
    try {
      const page = await this.#page(
        caller,
        { limit: MAX_COMPLETIONS, ...(typed === "" ? {} : { prefix: typed }) },
        signal,
      );
      return { completion: { values: page.contexts.map((context) => context.id), hasMore: page.cursor !== undefined } };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  async #page(caller: Caller, input: Record<string, unknown>, signal: AbortSignal): Promise<z.output<typeof listed>> {
    const { output } = await this.#invoker.invoke({ operation: "context_list", input, caller, signal, surface: "mcp" });
    return listed.parse(output);
  }
}
