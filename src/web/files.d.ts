// Lets the script of the pages be imported as text.
declare module "*.client.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
