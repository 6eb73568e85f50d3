// The paths of the pages that do not come from manifests.

export const ICON_PATH = "/ui/icon.svg";
export const LIVE_PATH = "/ui/live";

/** What people type for the overview, which is at `/`. */
export const HOME_ALIASES: readonly string[] = ["/ui", "/ui/"];

/** Reports whether the pages respond to requests for this path, with a page or with a refusal. */
export function isPagePath(path: string): boolean {
  return path === "/" || HOME_ALIASES.includes(path) || path.startsWith("/ui/");
}
