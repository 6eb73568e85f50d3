// Quotes a text for a shell.

/** Returns a text in single quotes, as bash, zsh and fish read it. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
