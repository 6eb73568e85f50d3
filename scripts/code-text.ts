// Reads TypeScript as text: where its code is and where comments and literals are. No syntax tree; the checks that need
// more than a position look around it.

/** Characters after which a slash begins a regular expression and is no division. */
const BEFORE_PATTERN = /(?:^|[(,=:[!&|?{};+\-*%>~^]|\b(?:return|typeof|case|in|of|void|await|yield))$/;

interface Span {
  kind: "comment" | "string" | "template" | "pattern";
  start: number;
  end: number;
}

/** Returns comments and literals of a part of a source, in order. What a template has in `${…}` is code. */
function spansOf(source: string, start = 0, stop = source.length): Span[] {
  const spans: Span[] = [];
  let before = "";
  for (let at = start; at < stop; ) {
    const kind = kindAt(source, at, before);
    if (kind === undefined) {
      before = `${before}${source[at]}`.slice(-16);
      at += 1;
      continue;
    }
    const end = endOf(source, at, kind);
    if (kind === "template") spans.push(...templateSpans(source, at, end));
    else spans.push({ kind, start: at, end });
    if (kind !== "comment") before = '"';
    at = end;
  }
  return spans;
}

/** Returns the texts of a template, and the comments and literals of the expressions between them. */
function templateSpans(source: string, start: number, end: number): Span[] {
  const spans: Span[] = [];
  let text = start;
  for (let at = start + 1; at < end; at += 1) {
    if (source[at] === "\\") at += 1;
    else if (source.startsWith("${", at)) {
      const close = expressionEnd(source, at + 2);
      spans.push({ kind: "template", start: text, end: at + 2 }, ...spansOf(source, at + 2, close));
      text = close;
      at = close;
    }
  }
  return [...spans, { kind: "template", start: text, end }];
}

function kindAt(source: string, at: number, before: string): Span["kind"] | undefined {
  const char = source[at];
  if (char === '"' || char === "'") return "string";
  if (char === "`") return "template";
  if (char !== "/") return undefined;
  const next = source[at + 1];
  if (next === "/" || next === "*") return "comment";
  return BEFORE_PATTERN.test(before.trimEnd()) ? "pattern" : undefined;
}

function endOf(source: string, start: number, kind: Span["kind"]): number {
  if (kind === "comment") {
    const end = source[start + 1] === "/" ? source.indexOf("\n", start) : source.indexOf("*/", start + 2) + 2;
    return end < start + 2 ? source.length : end;
  }
  if (kind === "template") return templateEnd(source, start);
  const close = source[start] ?? "";
  let inClass = false;
  for (let at = start + 1; at < source.length; at += 1) {
    const char = source[at];
    if (char === "\\") at += 1;
    else if (char === "\n") return at;
    else if (kind === "pattern" && char === "[") inClass = true;
    else if (kind === "pattern" && char === "]") inClass = false;
    else if (char === close && !inClass) return at + 1;
  }
  return source.length;
}

function templateEnd(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === "\\") at += 1;
    else if (source[at] === "`") return at + 1;
    else if (source.startsWith("${", at)) at = expressionEnd(source, at + 2);
  }
  return source.length;
}

/** Returns the index of the brace that closes an expression inside a template. */
function expressionEnd(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at += 1) {
    const char = source[at];
    const kind = kindAt(source, at, "");
    if (kind === "string" || kind === "template" || kind === "comment") at = endOf(source, at, kind) - 1;
    else if (char === "{") depth += 1;
    else if (char === "}" && depth-- === 0) return at;
  }
  return source.length;
}

/** Returns the source with every comment and literal as blanks; each character and line keeps its place. */
export function codeOnly(source: string): string {
  return blanked(source, () => true);
}

/** Returns the source with comments as blanks; each character and line keeps its place. */
export function withoutComments(source: string): string {
  return blanked(source, ({ kind }) => kind === "comment");
}

function blanked(source: string, chosen: (span: Span) => boolean): string {
  let text = "";
  let from = 0;
  for (const span of spansOf(source).filter(chosen)) {
    text += source.slice(from, span.start) + source.slice(span.start, span.end).replace(/[^\n]/g, " ");
    from = span.end;
  }
  return text + source.slice(from);
}

/** Returns the number of the line, from 1, on which a character is. */
export function lineAt(source: string, at: number): number {
  return source.slice(0, at).split("\n").length;
}

/** Returns the index just after the bracket that closes the one at `open`; `code` has no comments and literals. */
export function afterBracket(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    if ("([{".includes(code[at] ?? "")) depth += 1;
    else if (")]}".includes(code[at] ?? "")) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return code.length;
}
