// Ids for property tests: everything that the grammar of context ids allows, with what parsers of URIs and paths trip
// over more often than chance would bring it.

import fc from "fast-check";
import { idProblem } from "../../src/features/context/index.ts";

/** Ids that broke a parser, or could. */
export const AWKWARD_IDS = [
  "user:alice/notes",
  "Team-A/Plan",
  "a@b:80/x",
  "user:pass@host:1/x",
  "127.0.0.1:8080/x",
  "0x7f.1/x",
  "~home/.profile",
  "a/...",
  "-/-",
  "plan",
  "a/b/c/d",
  "vault/What now? (draft #2)",
  "vault/100% – “done” & dusted.md",
  "vault/Größe, Žižek & Ελλάδα",
  "vault/日本語 ノート",
  "vault/C++ = $5 | x",
  "vault/a%2",
  "vault/[link](x){y}<z>",
  "vault/metadata/versions 3",
  "vault/עברית",
  "Meeting notes",
  "vault/🚀 launch",
] as const;

const SPACE_CHARACTERS = "ABCXYZabcxyz0189._~:@-";

const space = fc.string({ unit: fc.constantFrom(...SPACE_CHARACTERS), minLength: 1, maxLength: 12 });
/** What may stand after the space, and often breaks something. */
const NAMED = [..."azAZ09éßñΩяж字あ한٣½’“„–—…&%#?+=$<>|^`~'!*()[]{},;\" "];
const name = fc
  .array(fc.constantFrom(...NAMED, "🚀", "e\u0301".normalize("NFC")), { minLength: 1, maxLength: 12 })
  .map((parts) => parts.join("").replace(/ +/g, " ").trim());
const rest = fc.array(fc.oneof(space, name), { maxLength: 3 });

/** Any id. */
export const anyId: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 1, arbitrary: fc.constantFrom(...AWKWARD_IDS) },
    { weight: 6, arbitrary: fc.tuple(space, rest).map(([first, others]) => [first, ...others].join("/")) },
  )
  .filter((id) => idProblem(id) === undefined);
