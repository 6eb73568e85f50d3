// What the manifests bring to the pages: which page serves an address, the links of the bar, the parts of the overview.

import type { Feature } from "../operation/feature.ts";
import type { FrameFacts, Page, Section, Visit } from "../operation/page.ts";
import { presetsOf } from "../operation/presets.ts";
import type { ServedRoute } from "../operation/served-route.ts";
import { CHART_PATH } from "./chart.ts";
import { connectPageWith } from "./connect.tsx";
import { overviewOf } from "./overview.tsx";
import { HOME_ALIASES, ICON_PATH, LIVE_PATH } from "./paths.ts";

/** For docs/routes.md: the path of the script names its hash. */
const CHART_PATTERN = "/ui/chart-{hash}.js";

/** What a path of the pages serves. */
export type Place = Page | "icon" | "chart" | "live";

/** Returns every route of the pages of these features. Throws an Error where two pages have one path. */
export function pageRoutes(features: readonly Feature[]): readonly ServedRoute[] {
  return new Site(features, []).routes;
}

/** A link in the bar of every page. */
export interface BarLink {
  path: string;
  label: string;
  /** Operation without which the page shows nothing; undefined: it is for every caller. */
  needs?: string | undefined;
}

/** The pages of all features. */
export class Site {
  /** Links in their order. */
  readonly links: readonly BarLink[];
  /** How errors on pages name operations: by the button of a form, or the link of the page that shows it. */
  readonly names: ReadonlyMap<string, string>;
  /** Sections of the overview, from the top of their columns. */
  readonly sections: readonly Section[];
  /** What the frame shows of the node. */
  readonly frame: ((visit: Visit) => Promise<FrameFacts>) | undefined;
  /** The read that live streams wait with; undefined: there are none. */
  readonly waitedBy: string | undefined;
  /** What features add to the style of all pages. */
  readonly styles: readonly string[];
  /** The page at `/`. */
  readonly overview: Page;
  readonly #places = new Map<string, Place>();
  /** Paths that end with `/`, longest first. */
  readonly #above: readonly string[];

  /**
   * `own` are sections that belong to no feature. Throws an Error where two pages have one path, or one is not under
   * `/ui/`.
   */
  constructor(features: readonly Feature[], own: readonly Section[]) {
    const pages = [...features.flatMap((feature) => feature.pages ?? []), connectPageWith(presetsOf(features))];
    this.sections = [...features.flatMap((feature) => feature.sections ?? []), ...own].sort(
      (a, b) => a.order - b.order,
    );
    this.overview = overviewOf(this.sections);
    this.links = [this.overview, ...pages]
      .flatMap(({ path, navigation }) => (navigation === undefined ? [] : [{ path, ...navigation }]))
      .sort((a, b) => a.order - b.order)
      .map(({ path, label, needs }) => ({ path, label, needs }));
    this.names = new Map([
      ...this.links.flatMap(({ needs, label }) => (needs === undefined ? [] : [[needs, `“${label}”`] as const])),
      ...pages
        .flatMap(({ forms = {} }) => Object.values(forms))
        .map(({ operation, label }) => [operation, `“${label}”`] as const),
    ]);
    this.styles = features.flatMap(({ style }) => (style === undefined ? [] : [style]));
    this.frame = features.find((feature) => feature.frame !== undefined)?.frame;
    this.waitedBy = features.find((feature) => feature.changes?.waitedBy !== undefined)?.changes?.waitedBy;
    this.#places.set("/", this.overview).set(ICON_PATH, "icon").set(CHART_PATH, "chart").set(LIVE_PATH, "live");
    for (const page of pages) this.#add(page);
    this.#above = [...this.#places.keys()]
      .filter((path) => path.endsWith("/") && path !== "/")
      .sort((a, b) => b.length - a.length);
  }

  /** Every path that is served. */
  get routes(): readonly ServedRoute[] {
    const places = [...this.#places].map(([path, place]) => ({
      methods: typeof place === "object" && place.forms !== undefined ? ["GET", "POST"] : ["GET"],
      path: place === "chart" ? CHART_PATTERN : path,
      ...describe(place),
    }));
    const homes = HOME_ALIASES.map((path) => ({
      methods: ["GET"],
      path,
      summary: "Leads to `/`",
      right: "any caller",
    }));
    return [...places, ...homes];
  }

  /** Returns what is at a path and the rest of the path, decoded; undefined without a place, or if badly encoded. */
  find(path: string): { place: Place; rest: string } | undefined {
    const start = this.#places.has(path) ? path : this.#above.find((above) => path.startsWith(above));
    const place = start === undefined ? undefined : this.#places.get(start);
    if (start === undefined || place === undefined) return undefined;
    try {
      return { place, rest: decodeURIComponent(path.slice(start.length)) };
    } catch {
      return undefined;
    }
  }

  #add(page: Page): void {
    const { path } = page;
    if (!path.startsWith("/ui/") || this.#places.has(path)) throw new Error(`a page cannot have the path ${path}`);
    this.#places.set(path, page);
  }
}

function describe(place: Place): Pick<ServedRoute, "summary" | "right"> {
  if (place === "icon") return { summary: "The icon of the pages", right: "any caller" };
  if (place === "chart") return { summary: "The script that draws charts, by its hash", right: "any caller" };
  if (place === "live")
    return { summary: "Stream of server-sent events by which an open page is fetched again", right: SHOWN };
  return { summary: place.summary, right: SHOWN };
}

const SHOWN = "a role in some space; shows only what the caller's grants allow";
