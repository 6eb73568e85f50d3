// The paths of the pages that do not come from manifests.

export const ICON_PATH = "/ui/icon.svg";
export const LIVE_PATH = "/ui/live";

/** Reports whether the pages respond to requests for this path, with a page or with a refusal. */
export function isPagePath(path: string): boolean {
  return path === "/" || path.startsWith("/ui/");
}
