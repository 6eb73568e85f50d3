// Lets lists of words be imported as text.
declare module "*.txt" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
