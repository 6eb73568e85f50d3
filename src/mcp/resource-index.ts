// Which feature a URI or a change belongs to, from the manifests.

import type { Feature, FeatureChanges } from "../operation/feature.ts";
import type { FeatureResources, ResourceRequest } from "../operation/mcp-parts.ts";
import { UriTemplate } from "./uri.ts";

/** The resources of one feature. */
export interface ResourceKind {
  /** Name of the feature. */
  feature: string;
  template: UriTemplate;
  resources: FeatureResources;
  /** Undefined: no subscriptions. */
  changes: FeatureChanges | undefined;
}

/** All kinds of resources, by URI and by change. */
export class ResourceIndex {
  readonly kinds: readonly ResourceKind[];
  readonly #byWrite = new Map<string, ResourceKind>();

  /** `all` are the features whose changes the resources may follow. Throws an Error where two have one scheme. */
  constructor(features: readonly Feature[], all: readonly Feature[] = features) {
    const changesOf = (wanted: string | undefined) => all.find(({ name }) => name === wanted)?.changes;
    this.kinds = features.flatMap(({ name, resources, changes }) =>
      resources === undefined
        ? []
        : [
            {
              feature: name,
              template: new UriTemplate(resources.uriTemplate, resources.queryNames),
              resources,
              changes: changes ?? changesOf(resources.changesOf),
            },
          ],
    );
    for (const kind of this.kinds) {
      const other = this.kinds.find((one) => one !== kind && one.template.scheme === kind.template.scheme);
      if (other !== undefined) throw new Error(`URIs of ${other.feature} would be URIs of ${kind.feature}`);
      for (const operation of kind.changes?.operations ?? []) this.#byWrite.set(operation, kind);
    }
  }

  /**
   * Returns what a URI names and its kind, or undefined where it is of no feature. Throws Fault `invalid_input` where
   * the scheme is of a feature, and the rest cannot be read.
   */
  find(uri: string): (ResourceRequest & { kind: ResourceKind }) | undefined {
    for (const kind of this.kinds) {
      const named = kind.template.parse(uri);
      if (named === undefined) continue;
      const { target, query } = kind.resources.split?.(named.target) ?? { target: named.target, query: {} };
      return { kind, target, query: { ...query, ...named.query } };
    }
    return undefined;
  }

  /** Returns the one spelling of a URI that changes are looked up by. Throws as `find`. */
  keyOf(uri: string): string {
    const found = this.find(uri);
    return found === undefined ? uri : found.kind.template.uriOf(found.target);
  }

  /** Returns the kind that changes of this write belong to. */
  changedBy(operation: string): ResourceKind | undefined {
    return this.#byWrite.get(operation);
  }

  /** What the resources are called, for messages: one of them, or with the ending `s` several. */
  names(ending = ""): string {
    return this.kinds.map(({ resources }) => resources.name + ending).join(" or ");
  }
}
