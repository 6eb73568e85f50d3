// What the manifests bring to the pages: which page serves an address, the links of the bar, the parts of the overview.

import type { Feature } from "../operation/feature.ts";
import type { FrameFacts, Page, Section, Visit } from "../operation/page.ts";

/** Addresses that are no page. */
export const ICON_PATH = "/ui/icon.svg";
export const LIVE_PATH = "/ui/live";

/** A link in the bar of every page. */
export interface BarLink {
  path: string;
  label: string;
}

/** The pages of all features. */
export class Site {
  /** Links in their order. */
  readonly links: readonly BarLink[];
  /** Sections of the overview, from the top of their columns. */
  readonly sections: readonly Section[];
  /** What the frame shows of the node. */
  readonly frame: ((visit: Visit) => Promise<FrameFacts>) | undefined;
  /** The read that live streams wait with; undefined: there are none. */
  readonly waitedBy: string | undefined;
  /** What features add to the style of all pages. */
  readonly styles: readonly string[];
  readonly #pages = new Map<string, Page>();
  /** Paths that end with `/`, longest first. */
  readonly #above: readonly string[];

  /**
   * `own` are sections that belong to no feature. Throws an Error where two pages have one path, or one is not under
   * `/ui/`.
   */
  constructor(features: readonly Feature[], own: readonly Section[]) {
    const pages = features.flatMap((feature) => feature.pages ?? []);
    for (const page of pages) this.#add(page);
    this.#above = [...this.#pages.keys()].filter((path) => path.endsWith("/")).sort((a, b) => b.length - a.length);
    this.links = pages
      .flatMap(({ path, navigation }) => (navigation === undefined ? [] : [{ path, ...navigation }]))
      .sort((a, b) => a.order - b.order)
      .map(({ path, label }) => ({ path, label }));
    this.sections = [...features.flatMap((feature) => feature.sections ?? []), ...own].sort(
      (a, b) => a.order - b.order,
    );
    this.styles = features.flatMap(({ style }) => (style === undefined ? [] : [style]));
    this.frame = features.find((feature) => feature.frame !== undefined)?.frame;
    this.waitedBy = features.find((feature) => feature.changes?.waitedBy !== undefined)?.changes?.waitedBy;
  }

  /** Returns the page of a path and the rest of the path, decoded; undefined without a page, or if badly encoded. */
  find(path: string): { page: Page; rest: string } | undefined {
    const above = this.#above.find((start) => path.startsWith(start));
    const page = this.#pages.get(path) ?? (above === undefined ? undefined : this.#pages.get(above));
    if (page === undefined) return undefined;
    try {
      return { page, rest: decodeURIComponent(path.slice(page.path.length)) };
    } catch {
      return undefined;
    }
  }

  #add(page: Page): void {
    const { path } = page;
    if (!path.startsWith("/ui/") || path === ICON_PATH || path === LIVE_PATH || this.#pages.has(path))
      throw new Error(`a page cannot have the path ${path}`);
    this.#pages.set(path, page);
  }
}
