// Waits for the end of a child process and for what it wrote, read from both pipes at once so that neither fills up.

/** Text of stdout and stderr, and the exit code: 128 plus the signal where one ended it. */
export interface Output {
  out: string;
  err: string;
  code: number;
}

export async function finished(child: Bun.Subprocess<Bun.SpawnOptions.Writable, "pipe", "pipe">): Promise<Output> {
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}
