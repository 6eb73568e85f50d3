// A hidden field that is another one each time a page is made: a form that is sent twice is one write.
/** @jsxImportSource hono/jsx */

/** For a form that writes. */
export function FormKey() {
  return <input type="hidden" name="key" value={crypto.randomUUID()} />;
}
