// Which names look alike: the same letters in another case or form, or those of another script. They stay different
// names; where several are shown, this says so.

/** Letters of Cyrillic and Greek, and digits, that look like a Latin letter (in lower case). */
const LATIN: Readonly<Record<string, string>> = {
  ...{ а: "a", в: "b", с: "c", ԁ: "d", е: "e", ѓ: "r", һ: "h", і: "i", ј: "j", к: "k", м: "m", н: "h", о: "o" },
  ...{ р: "p", ѕ: "s", т: "t", у: "y", ѵ: "v", ԝ: "w", х: "x", ӏ: "l", α: "a", β: "b", ε: "e", η: "n", ι: "i" },
  ...{ κ: "k", μ: "u", ν: "v", ο: "o", ρ: "p", τ: "t", υ: "u", χ: "x", ζ: "z", 0: "o", 1: "l", "|": "l", i: "l" },
  ...{ "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "·": ".", "…": "..." },
};

const OTHERS = new RegExp(`[${Object.keys(LATIN).join("")}]`, "gu");

/** Returns what a name has in common with all that look like it. */
export function appearanceOf(name: string): string {
  return name
    .normalize("NFKC")
    .toLowerCase()
    .replace(OTHERS, (character) => LATIN[character] ?? character);
}

/** Returns, for each name that looks like others of the list, those others. */
export function lookAlikes(names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const groups = Map.groupBy(new Set(names), appearanceOf);
  return new Map(
    names.flatMap((name) => {
      const others = (groups.get(appearanceOf(name)) ?? []).filter((other) => other !== name);
      return others.length === 0 ? [] : [[name, others] as const];
    }),
  );
}
