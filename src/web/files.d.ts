// Lets the page's style and script be imported as text.
declare module "*.css" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
declare module "*.client.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
