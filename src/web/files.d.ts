// Lets the script of the pages be imported as text.
declare module "*.client.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
// And the files of others.
declare module "*.min.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
declare module "*/LICENSE" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
