// A certificate that signs itself, for servers of tests. Needs openssl.

import { join } from "node:path";
import { temporaryFolder } from "./temporary.ts";

/** Key and certificate of a name, as PEM, and the file of the certificate. */
export interface Certificate {
  key: string;
  cert: string;
  file: string;
}

/** Makes one. */
export async function selfSigned(name: string): Promise<Certificate> {
  const folder = temporaryFolder();
  const [key, file] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const made = Bun.spawnSync({
    cmd: ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject].concat(
      ...["-keyout", key, "-out", file],
    ),
    stderr: "pipe",
  });
  if (made.exitCode !== 0) throw new Error(`openssl: ${made.stderr.toString()}`);
  return { key: await Bun.file(key).text(), cert: await Bun.file(file).text(), file };
}
