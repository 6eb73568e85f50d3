// Archives of tests, also hostile ones.

import { tarEnd, tarHeader, tarPadding } from "../../src/lib/strict-tar.ts";

/** An entry of an archive. */
export interface Packed {
  name: string;
  kind?: "file" | "folder";
  content?: string;
  executable?: boolean;
  /** Changes the header; its checksum is made right again. */
  change?: (header: Buffer) => void;
}

/** Returns an archive. */
export function archiveOf(entries: readonly Packed[]): Uint8Array {
  const parts = entries.flatMap(({ name, kind = "file", content = "", executable = false, change }) => {
    const bytes = Buffer.from(content);
    const header = Buffer.from(tarHeader({ kind, name, size: bytes.byteLength, executable }));
    if (change !== undefined) {
      change(header);
      header.fill(0x20, 148, 156);
      const sum = header.reduce((all, byte) => all + byte, 0);
      header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    }
    return [header, bytes, tarPadding(bytes.byteLength)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}
