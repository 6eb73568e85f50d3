// Numbers of bytes as people write and read them, in units of 1024.

const UNITS = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** Returns the number of bytes of a text such as `1500` or `4GiB`; undefined for any other text. */
export function byteCount(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,12})(KiB|MiB|GiB)?$/.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  return Number(digits) * (unit === undefined ? 1 : UNITS[unit as keyof typeof UNITS]);
}

/** Returns a number of bytes in the largest unit that fits. */
export function sizeText(bytes: number): string {
  if (bytes < UNITS.KiB) return `${bytes} B`;
  const [name, size] = Object.entries(UNITS).findLast(([, each]) => bytes >= each) ?? ["KiB", UNITS.KiB];
  return `${(bytes / size).toFixed(1)} ${name}`;
}
