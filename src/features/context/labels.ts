// Lists of words as the tables have them, and as callers see them.

/** Returns tags, or ids, as the tables store them: `\na\nb\n`. */
export function framedTags(tags: readonly string[]): string {
  return tags.length === 0 ? "" : `\n${tags.join("\n")}\n`;
}

/** Returns the tags of their stored form. */
export function tagsOf(framed: string): string[] {
  return framed === "" ? [] : framed.slice(1, -1).split("\n");
}
