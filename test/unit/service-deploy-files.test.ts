// Files that come with service_deploy: the archive that they make, how it is put, and what is refused.

import { expect, test } from "bun:test";
import { serviceDeploy } from "../../src/features/service/deploy.ts";
import { archiveOfTexts, putArchive } from "../../src/features/service/deploy-files.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { readTar } from "../../src/lib/strict-tar.ts";
import type { MacroSteps } from "../../src/operation/define.ts";

type Asked = Record<string, unknown>;

/** Steps whose blob_put answers as told, and keeps what was asked. */
function stepsOf(answers: Asked[]) {
  const asked: Asked[] = [];
  const ask = async (operation: string, input: Asked) => {
    expect(operation).toBe("blob_put");
    asked.push(input);
    return answers.length > 1 ? (answers.shift() as Asked) : (answers[0] as Asked);
  };
  return { asked, steps: { ask } as unknown as MacroSteps };
}

test("an archive of texts is one that members take, with folders first, whatever the order of the names", async () => {
  const files = { "web/static/a.html": "<p>ü</p>", "bin/run": "#!/bin/sh\nexit 0\n", "a.txt": "" };
  const archive = archiveOfTexts(files);
  const seen: string[] = [];
  let text = "";
  for await (const part of readTar(
    (async function* () {
      yield archive;
    })(),
  )) {
    if (part.kind === "bytes") text += new TextDecoder().decode(part.bytes);
    else seen.push(`${part.kind} ${part.name}${part.kind === "file" && part.executable ? " runs" : ""}`);
  }
  expect(seen).toEqual([
    ...["file a.txt", "folder bin", "file bin/run runs", "folder web", "folder web/static", "file web/static/a.html"],
  ]);
  expect(text).toBe("#!/bin/sh\nexit 0\n<p>ü</p>");
  expect(archiveOfTexts(Object.fromEntries(Object.entries(files).reverse()))).toEqual(archive);
});

test("a path that leads out, or is a folder too, is refused", () => {
  for (const name of ["../x", "/etc/passwd", "a//b", ""])
    expect(() => archiveOfTexts({ [name]: "x" })).toThrow("archive is refused");
  expect(() => archiveOfTexts({ a: "x", "a/b": "y" })).toThrow('"a" is a file and a folder');
});

test("it goes on where an earlier call ended, asks again until it is held, and gives up in the end", async () => {
  const archive = archiveOfTexts({ a: "x" });
  const whole = archive.byteLength;
  const waiting = { received: whole, stored: false, missing: "1 of 2 members hold it" };
  const { asked, steps } = stepsOf([{ received: 512, stored: false }, waiting, { received: whole, stored: true }]);
  expect(await putArchive(steps, archive)).toBe(sha256Hex(archive));
  const data = Buffer.from(archive.subarray(512)).toString("base64");
  expect(asked.map(({ offset, data }) => [offset, data])).toEqual([
    [undefined, undefined],
    [512, data],
    [undefined, undefined],
  ]);
  const never = stepsOf([waiting]);
  await expect(putArchive(never.steps, archive)).rejects.toMatchObject({
    code: "unavailable",
    message: "The files are not held by enough members yet: 1 of 2 members hold it",
  });
});

test("neither files nor artifact, or both: refused with what to give", async () => {
  const artifact = "a".repeat(64);
  const { steps } = stepsOf([{}]);
  for (const given of [{}, { files: {} }, { files: { a: "x" }, artifact }])
    await expect(serviceDeploy.run({ name: "web", ...given }, steps)).rejects.toMatchObject({
      code: "invalid_input",
      hint: expect.stringContaining("files, texts by their path"),
    });
});
