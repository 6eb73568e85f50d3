// Resources of all features: list, templates, read and completion, each by an operation of the feature, so that a
// caller finds only what it may read. Stored text is the content of a resource or data in `_meta`, never its title.

import {
  type CompleteResult,
  type ListResourcesResult,
  type ListResourceTemplatesResult,
  type ReadResourceResult,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { ListedResource } from "../operation/mcp-parts.ts";
import { type Asking, askBy } from "./ask.ts";
import { complete, noCompletion } from "./completion.ts";
import { asProtocolError } from "./errors.ts";
import type { ResourceIndex, ResourceKind } from "./resource-index.ts";

/** Entries of a page of the list. */
const PAGE = 100;

export class Resources {
  readonly #invoker: Invoker;
  readonly #index: ResourceIndex;

  constructor(invoker: Invoker, index: ResourceIndex) {
    this.#invoker = invoker;
    this.#index = index;
  }

  /** Returns a page: the resources of one feature after those of another. */
  async list(asking: Asking, cursor: string | undefined): Promise<ListResourcesResult> {
    const kinds = this.#listable(asking.caller);
    const { at, inner } = placeOf(kinds, cursor);
    const kind = kinds[at];
    if (kind === undefined) return { resources: [] };
    try {
      const page = await askBy(this.#invoker, asking, kind.resources.list, { cursor: inner, limit: PAGE });
      const next = page.cursor === undefined ? cursorOf(kinds, at + 1, "") : cursorOf(kinds, at, page.cursor);
      return {
        resources: page.resources.map((entry) => entryOf(kind, entry)),
        ...(next === undefined ? {} : { nextCursor: next }),
      };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  templates(): ListResourceTemplatesResult {
    return {
      resourceTemplates: this.#index.kinds.flatMap(({ resources }) => {
        const { uriTemplate, name, title, description, otherTemplates = [] } = resources;
        return [{ uriTemplate, name, title, description }, ...otherTemplates];
      }),
    };
  }

  async read(asking: Asking, uri: string): Promise<ReadResourceResult> {
    try {
      const found = this.#index.find(uri);
      if (found === undefined) throw new ResourceNotFoundError(uri);
      const { kind } = found;
      const { mimeType, text, about } = await askBy(this.#invoker, asking, kind.resources.read, found);
      return { contents: [{ uri, mimeType, text, _meta: metaOf(kind, about) }] };
    } catch (error) {
      throw asProtocolError(error, uri);
    }
  }

  /** Returns values for the variable of a template that start with what was typed. */
  async complete(asking: Asking, uri: string, argument: { name: string; value: string }): Promise<CompleteResult> {
    const kind = this.#index.kinds.find(({ template }) => template.isOf(uri));
    if (kind === undefined || kind.template.variable !== argument.name) return noCompletion();
    return complete(this.#invoker, asking, kind.resources.complete, { value: argument.value, others: {} });
  }

  /** Returns what the caller may list; if that is nothing, the first kind, whose refusal names the grant to ask for. */
  #listable(caller: Caller): readonly ResourceKind[] {
    const { kinds } = this.#index;
    const rights = this.#invoker.rights(caller);
    const allowed = kinds.filter(({ resources: { list } }) =>
      rights.mayUseSomewhere({ verb: "read", operation: list.operation }),
    );
    return allowed.length > 0 ? allowed : kinds.slice(0, 1);
  }
}

/** A cursor of the first kind is used as it is; one of a later kind follows the name of its feature and a colon. */
function cursorOf(kinds: readonly ResourceKind[], at: number, inner: string): string | undefined {
  const kind = kinds[at];
  if (kind === undefined) return undefined;
  return at === 0 ? inner : `${kind.feature}:${inner}`;
}

function placeOf(
  kinds: readonly ResourceKind[],
  cursor: string | undefined,
): { at: number; inner: string | undefined } {
  const at = kinds.findIndex(({ feature }, place) => place > 0 && cursor?.startsWith(`${feature}:`) === true);
  if (at < 0) return { at: 0, inner: cursor };
  const inner = cursor?.slice(`${kinds[at]?.feature}:`.length);
  return { at, inner: inner === "" ? undefined : inner };
}

function entryOf(kind: ResourceKind, { target, mimeType, size, updatedAt, about }: ListedResource) {
  return {
    uri: kind.template.uriOf(target),
    name: target,
    mimeType,
    ...(size === undefined ? {} : { size }),
    annotations: { lastModified: updatedAt },
    _meta: metaOf(kind, about),
  };
}

/** What is known of a resource besides its content, under a key that names its feature. */
function metaOf({ feature }: ResourceKind, about: Record<string, unknown>): Record<string, unknown> {
  return { [`cairn.internal/${feature}`]: about };
}
