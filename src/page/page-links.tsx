// Links below a list that is shown in pages: back to its beginning, and on.
/** @jsxImportSource hono/jsx */

interface PageLinksProps {
  /** What is listed, for screen readers: `Pages of the ${of}`. */
  of: string;
  /** Address of the first page; undefined: this is it. */
  first: string | undefined;
  /** Address of the next page; undefined: this is the last. */
  next: string | undefined;
  /** From the newest to the oldest: the links say so. */
  byAge?: boolean;
}

/** Takes the addresses of other pages; without any it is an empty `nav`. */
export function PageLinks({ of, first, next, byAge = false }: PageLinksProps) {
  return (
    <nav class="pages" aria-label={`Pages of the ${of}`}>
      {first === undefined ? null : <a href={first}>{byAge ? "Newest" : "First page"}</a>}
      {next === undefined ? null : <a href={next}>{byAge ? "Older" : "Next page"}</a>}
    </nav>
  );
}
