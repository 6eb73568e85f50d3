// Lists as one text with commas, as queries have them. A comma within an item is written `\,`, and a backslash `\\`.

/** Returns the items. A backslash before anything else stands for itself. */
export function splitCommaList(text: string): string[] {
  if (!text.includes("\\")) return text.split(",");
  const items = [""];
  for (const [token] of text.matchAll(/\\[\\,]|./gsu)) {
    if (token === ",") items.push("");
    else items.push(`${items.pop()}${token.startsWith("\\") ? token.slice(-1) : token}`);
  }
  return items;
}

/** Returns an item as it is written in such a text. */
export function commaListItem(item: string): string {
  return item.replaceAll(/[\\,]/g, "\\$&");
}
