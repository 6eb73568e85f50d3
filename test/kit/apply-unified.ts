// Applies a unified diff to a text, strictly: the other half of the law apply(diff(a, b), a) = b.

/** Throws where the diff does not match the text. */
export function applyUnified(text: string, diff: string): string {
  if (diff === "") return text;
  const old = text === "" ? [] : text.split(/(?<=\n)/);
  const result: string[] = [];
  let at = 0;
  const lines = diff.split(/(?<=\n)/);
  for (let index = 0; index < lines.length; ) {
    const header = /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@\n$/.exec(lines[index++] ?? "");
    if (header === null) throw new Error(`no hunk at line ${index} of the diff`);
    const [start = 0, oldCount = 0, newStart = 0, newCount = 0] = header.slice(1).map(Number);
    const begin = oldCount === 0 ? start : start - 1;
    result.push(...old.slice(at, begin));
    at = begin;
    if (result.length !== (newCount === 0 ? newStart : newStart - 1)) throw new Error(`hunk for new line ${newStart}`);
    let removed = 0;
    let added = 0;
    while (removed < oldCount || added < newCount) {
      const kind = (lines[index] ?? "")[0];
      let line = (lines[index++] ?? "").slice(1);
      if (lines[index]?.startsWith("\\") === true) {
        line = line.slice(0, -1);
        index++;
      }
      if (kind !== "+") {
        if (old[at] !== line) throw new Error(`line ${at} is ${JSON.stringify(old[at])}, not ${JSON.stringify(line)}`);
        at++;
        removed++;
      }
      if (kind !== "-") {
        result.push(line);
        added++;
      }
    }
  }
  return [...result, ...old.slice(at)].join("");
}
