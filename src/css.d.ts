// Lets style files be imported as text.
declare module "*.css" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
