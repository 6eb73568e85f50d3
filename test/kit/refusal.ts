// The Fault with which a call was refused, for assertions.

/** Returns code, message and details of the refusal; throws when the call was not refused. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; details: Record<string, unknown> }> {
  try {
    await promise;
  } catch (error) {
    return error as { code: string; message: string; details: Record<string, unknown> };
  }
  throw new Error("was not refused");
}
