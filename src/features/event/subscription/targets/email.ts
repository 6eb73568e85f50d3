// Mail by SMTP, over connections of the node's egress. nodemailer speaks SMTP; TLS from the first byte is done by the
// Go half.

import type { SMTPConnectionOptions } from "nodemailer/lib/smtp-connection";
import type { z } from "zod";
import { Fault } from "../../../../lib/fault.ts";
import { printableLine } from "../../../../lib/printable.ts";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { registerSecret } from "../../../../observe/redact.ts";
import type { Delivery, Outcome, Target } from "../delivery.ts";
import { DEFAULT_TIMEOUT_SECONDS, type notifyTarget } from "./declared.ts";
import { MAX_TEXT, messageOf } from "./message.ts";
import type { TargetParts } from "./parts.ts";
import { shownText } from "./post.ts";

type EmailConfig = Extract<z.infer<typeof notifyTarget>, { service: "email" }>;

const PORTS: Readonly<Record<string, number>> = { "smtps:": 465, "smtp:": 587 };
/** Longest line of a subject. */
const MAX_SUBJECT = 200;

/** Returns what sends a message as mail. */
export function mailer(config: EmailConfig, parts: TargetParts): Target["send"] {
  const deadlineMs = 1000 * (config.timeout_seconds ?? DEFAULT_TIMEOUT_SECONDS);
  return async (delivery, signal) => {
    const deadline = AbortSignal.timeout(deadlineMs);
    try {
      return await sendMail(config, parts, delivery, AbortSignal.any([signal, deadline]));
    } catch (error) {
      signal.throwIfAborted();
      if (deadline.aborted)
        return { result: "failed", detail: `the server did not take it within ${deadlineMs / 1000} s` };
      return outcomeOf(error);
    }
  };
}

async function sendMail(
  config: EmailConfig,
  { connections, readSecret, fleetId }: TargetParts,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<Outcome> {
  const auth = config.login === undefined ? undefined : loginOf(config.login, readSecret);
  const url = new URL(config.url);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const secure = url.protocol === "smtps:";
  const port = url.port === "" ? (PORTS[url.protocol] ?? 0) : Number(url.port);
  // Loaded only where mail is sent.
  const { createTransport } = await import("nodemailer");
  const stream = await connections.open({ host, port, secure }, signal);
  const connection = stream as NonNullable<SMTPConnectionOptions["connection"]>;
  const transport = createTransport({
    ...{ host, port, secure, secured: secure, connection, disableFileAccess: true, disableUrlAccess: true },
    ...(config.starttls === false ? { ignoreTLS: true } : { requireTLS: !secure }),
    tls: { servername: host, minVersion: "TLSv1.2", ca: [...connections.roots()] },
    ...(auth === undefined ? {} : { auth }),
  });
  // Its promise stays open where the connection is destroyed.
  const ended = Promise.withResolvers<never>();
  const abort = () => ended.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    const info = await Promise.race([transport.sendMail(mailOf(config, delivery, fleetId())), ended.promise]);
    const rejected = info.rejected.length === 0 ? "" : `; not taken for ${info.rejected.map(String).join(", ")}`;
    return { result: "delivered", status: statusOf(info.response), detail: shownText(`${info.response}${rejected}`) };
  } finally {
    signal.removeEventListener("abort", abort);
    transport.close();
    connection.destroy();
  }
}

/** The same mail has the same id at each attempt, by which mailboxes know it. */
function mailOf({ from, to }: EmailConfig, delivery: Delivery, fleetId: string) {
  const { title, text, priority, tags } = messageOf(delivery, MAX_TEXT.email);
  const domain = from.slice(from.indexOf("@") + 1);
  const marks = tags.length === 0 ? "" : `\n\n${tags.map((tag) => `#${tag}`).join(" ")}`;
  return {
    ...{ from, to, text: `${text}${marks}\n`, subject: printableLine(title).slice(0, MAX_SUBJECT) },
    messageId: `<${delivery.messageId}.${fleetId}@${domain}>`,
    headers: { "Auto-Submitted": "auto-generated" },
    ...(priority === undefined || priority === 3
      ? {}
      : { priority: priority > 3 ? ("high" as const) : ("low" as const) }),
  };
}

function loginOf(reference: string, readSecret: TargetParts["readSecret"]): { user: string; pass: string } {
  const login = readSecret(reference);
  const colon = login.indexOf(":");
  if (colon < 1) throw new Fault("config_invalid", `${reference} is not USER:PASSWORD`);
  const pass = login.slice(colon + 1);
  registerSecret(pass);
  return { user: login.slice(0, colon), pass };
}

/** What is wrong with the text of a mail is wrong with this event; all else may be other with the next attempt. */
function outcomeOf(error: unknown): Outcome {
  const { code, responseCode: status } = { ...(error as { code?: unknown; responseCode?: unknown }) };
  const detail = shownText(reasonOf(error));
  if (typeof status !== "number") return { result: "failed", detail };
  return { result: code === "EMESSAGE" && status >= 500 ? "refused" : "failed", status, detail };
}

function statusOf(response: string): number {
  return Number(/^[2-5][0-9]{2}/.exec(response)?.[0] ?? 250);
}
