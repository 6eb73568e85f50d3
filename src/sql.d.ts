// Lets schema files be imported as text.
declare module "*.sql" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}

// Lets the source of a Worker be imported as text.
declare module "*-worker.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import has nothing else
  export default text;
}
