// Checks words for readers: a first-line comment in every file, a doc comment on what other folders use, files of
// readable length, comments of readable width, links and paths that exist, and nothing that means something on the
// author's machine only.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { citationProblems, readNumbers } from "./check-citations.ts";
import { lineAt, withoutComments } from "./code-text.ts";

const MAX_LINES = 450;
const MAX_COMMENT_COLUMNS = 120;
/** What a generator wrote. */
const GENERATED = /^native\/eventgrpc\/gen\//;

/** Checks all sources and pages of the project. */
export function checkDocs(root: string): string[] {
  const list = (pattern: string): string[] =>
    [...new Bun.Glob(pattern).scanSync({ cwd: root })]
      .filter((file) => !file.includes("node_modules/") && !file.includes("/golden/"))
      .sort();
  const written = (file: string): boolean => !GENERATED.test(file);
  const sources = [...list("{src,scripts,test}/**/*.{ts,tsx,mjs}"), ...list("native/**/*.go").filter(written)];
  const others = [...list("bench/**/*.ts"), ...list("{src,test}/**/*.{js,css,sql}")];
  const pages = [...list("*.md"), ...list("{src,native,docs,test,bench}/**/*.md")];
  const read = (file: string): string => readFileSync(join(root, file), "utf8");
  const numbers = readNumbers(root);
  return [
    ...[...sources, ...others].flatMap((file) => longComments(file, read(file))),
    ...[...sources, ...others, ...pages].flatMap((file) => citationProblems(file, read(file), numbers)),
    ...[...sources, ...list("src/**/*.css")].flatMap((file) => sourceProblems(file, read(file))),
    ...missingDocs(sources.filter((file) => file.startsWith("src/")).map((file) => [file, read(file)])),
    ...[...sources, ...pages, ...list("*.json"), ...list(".ci/*")]
      .filter((file) => file !== "package-lock.json")
      .flatMap((file) => wordProblems(file, read(file))),
    ...pages.flatMap((file) => linkProblems(root, file, read(file))),
    ...pages.flatMap((file) => anchorProblems(root, file, read(file))),
    ...pages
      .filter((file) => file === "README.md" || file.startsWith("docs/") || file.endsWith("/DESIGN.md"))
      .flatMap((file) => pathProblems(root, file, read(file))),
  ];
}

/** Length and first line of one file. */
export function sourceProblems(file: string, text: string): string[] {
  const lines = text.split("\n");
  const count = text.endsWith("\n") ? lines.length - 1 : lines.length;
  const first = lines[0]?.startsWith("#!") ? lines[1] : lines[0];
  return [
    ...(count > MAX_LINES
      ? [`${file} has ${count} lines, ${MAX_LINES} are allowed: split it by reason to change`]
      : []),
    ...(/^(\/\/|\/\*)/.test(first ?? "") ? [] : [`${file} should begin with a comment that says what it is for`]),
  ];
}

/** Returns the comment lines of a file that are longer than 120 characters. */
export function longComments(file: string, text: string): string[] {
  // A line with a comment differs from the same line with its comments as blanks.
  const code = /\.(?:ts|tsx|mjs|js)$/.test(file) ? withoutComments(text).split("\n") : [];
  return text.split("\n").flatMap((line, index) => {
    const columns = [...line].length;
    const blanked = code[index]?.trimEnd();
    const isComment =
      blanked === undefined ? /^\s*(?:\/\/|--|\/?\*)|[;,{})\]]\s+\/\/ /.test(line) : blanked !== line.trimEnd();
    if (columns <= MAX_COMMENT_COLUMNS || !isComment || CANNOT_WRAP.test(line)) return [];
    return [`${file}:${index + 1}: a comment line has ${columns} characters, ${MAX_COMMENT_COLUMNS} are allowed`];
  });
}

/** Directives and addresses have to stay on one line. */
const CANNOT_WRAP = /biome-ignore|@ts-expect-error|^\s*\/\/go:|https?:\/\/\S{60}/;

/** Exports of src/ that another folder imports by name and that have no doc comment. */
export function missingDocs(files: readonly (readonly [string, string])[]): string[] {
  const used = new Set<string>();
  for (const [file, text] of files) {
    for (const [, names = "", specifier = ""] of withoutComments(text).matchAll(
      /\bimport\s+(?:type\s+)?\{([^}]*)\}\s*from\s*["'](\.[^"']+)["']/g,
    )) {
      const target = join(dirname(file), specifier);
      if (dirname(target) === dirname(file)) continue;
      for (const name of names.split(","))
        used.add(
          `${dirname(target)} ${
            name
              .trim()
              .replace(/^type\s+/, "")
              .split(/\s+as\s+/)[0]
          }`,
        );
    }
  }
  return files.flatMap(([file, text]) => {
    const lines = text.split("\n");
    return lines.flatMap((line, at) => {
      const name =
        /^export (?:declare )?(?:async )?(?:abstract )?(?:function\*?|class|const enum|const|let|enum|interface|type) (\w+)/.exec(
          line,
        )?.[1];
      if (name === undefined || !used.has(`${dirname(file)} ${name}`)) return [];
      let above = at - 1;
      while (/^\/\/ (biome|@ts)-/.test(lines[above] ?? "")) above -= 1;
      return lines[above]?.trimEnd().endsWith("*/")
        ? []
        : [`${file}:${at + 1}: ${name} is used by other folders and has no doc comment`];
    });
  });
}

/** Patterns of what means nothing to a reader elsewhere, or hides what is missing. */
const WORDS: readonly { pattern: RegExp; why: string }[] = [
  {
    pattern: /(?:^|[\s"'`(=])\/(?:home|Users|root|work|workspace|builds?)\/[\w.-]/m,
    why: "an absolute path of one machine",
  },
  { pattern: /\b(?:issue|ticket)\s+#?\d+\b/i, why: "a number of a tracker that readers cannot open" },
  { pattern: /\b(?:TODO|FIXME|XXX)\b/, why: "a note that hides a missing part" },
];

/** Returns the forbidden words of a file. */
export function wordProblems(file: string, text: string): string[] {
  if (file === "scripts/check-docs.ts" || file.startsWith("test/unit/check-")) return [];
  return WORDS.flatMap(({ pattern, why }) => {
    const found = pattern.exec(text);
    return found === null
      ? []
      : [`${file}:${text.slice(0, found.index).split("\n").length}: ${JSON.stringify(found[0].trim())} is ${why}`];
  });
}

/** Relative links and paths of a page that lead nowhere. */
export function linkProblems(root: string, file: string, text: string): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)\s#]+)[^)]*\)/g)].map((match) => match[1] ?? "");
  const outside = [...text.matchAll(/(?:^|[\s`("'])((?:\.\.\/)+[\w./-]+)/g)].map((match) => match[1] ?? "");
  const defined = [...text.matchAll(/^\[[^\]]+\]:\s*(?!https?:|#|mailto:)([^\s#]+)/gm)].map((match) => match[1] ?? "");
  return [...links, ...defined, ...outside]
    .filter((link) => !existsSync(resolve(root, dirname(file), link)))
    .map((link) => `${file} points to ${link}, which is not there`);
}

/** Returns the links of a page to headings that are not there, in the page itself or in another. */
export function anchorProblems(root: string, file: string, text: string): string[] {
  return [...withoutFences(text).matchAll(/\]\((?!https?:|mailto:)([^)\s#]*\.md)?#([^)\s]+)\)/g)].flatMap((match) => {
    const page = match[1] === undefined ? undefined : resolve(root, dirname(file), match[1]);
    if (page !== undefined && !existsSync(page)) return [];
    const anchors = anchorsOf(page === undefined ? text : readFileSync(page, "utf8"));
    return anchors.has(match[2] ?? "")
      ? []
      : [`${file}:${lineAt(text, match.index)} points to a heading ${match[1] ?? ""}#${match[2]}, which is not there`];
  });
}

/** Returns the anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = [...withoutFences(page).matchAll(/^#{1,6} (.+)$/gm)].map((match) => {
    const words = (match[1] ?? "")
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "");
    const anchor = words.replace(/\s/g, "-");
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  return new Set(anchors);
}

/** A path from the root of the project. */
const FROM_ROOT = /^(?:\.\/)?(?:src|test|native|scripts|bench|docs)\/[\w./<>*-]*$/;
/** A path of a source with at least one folder. */
const FROM_FOLDER = /^[\w.*-]+\/[\w./*-]+\.(?:tsx?|mjs|go|sql|css)$|^[\w./-]+\/DESIGN\.md$/;

/**
 * Returns the paths in backticks of a page that are not there. A path that is not from the root is looked up in the
 * folder of the page and in src/. `*` and a placeholder such as `<name>` match any name.
 */
export function pathProblems(root: string, file: string, text: string): string[] {
  return [...withoutFences(text).matchAll(/`(?:bun )?([^`\s]+)`/g)].flatMap((match) => {
    const path = (match[1] ?? "").replace(/(?<=\.\w+)(?::\d+|#\w+)$/, "");
    const folders = FROM_ROOT.test(path) ? [""] : FROM_FOLDER.test(path) ? [dirname(file), "src"] : undefined;
    if (folders === undefined || folders.some((folder) => isThere(join(root, folder), path))) return [];
    return [`${file}:${lineAt(text, match.index)} names ${path}, which is not there`];
  });
}

/** Returns a page with the lines of its code blocks blank, so that line numbers stay. */
function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/[^\n]/g, " "));
}

function isThere(folder: string, path: string): boolean {
  const pattern = path.replace(/<[^>]*>/g, "*");
  if (!pattern.includes("*")) return existsSync(join(folder, pattern));
  const found = new Bun.Glob(pattern.replace(/\/$/, "")).scanSync({ cwd: folder, onlyFiles: false });
  return found.next().done !== true;
}
