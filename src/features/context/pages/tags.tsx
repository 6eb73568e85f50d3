// Tags as links to the list of contexts with that tag.
/** @jsxImportSource hono/jsx */

import { Words } from "../../../page/text.tsx";
import { listLink } from "./links.ts";

export function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <>
      {tags.map((tag) => (
        <>
          <a class="tag" href={listLink({ tag })}>
            <Words text={tag} />
          </a>{" "}
        </>
      ))}
    </>
  );
}
