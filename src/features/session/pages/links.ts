// URLs of the pages of sessions.

import { address } from "../../../page/address.ts";

/** Path of the list. */
export const SESSIONS = "/ui/sessions";
/** Path of the pages of single sessions; the id follows. */
export const SESSION = "/ui/sessions/";
/** Path of the pages of single messages; the id of the session and that of the message follow. */
export const MESSAGE = "/ui/messages/";
/** Path of the inbox. */
export const INBOX = "/ui/inbox";

/** What the list shows; "" and undefined filter nothing. */
export interface ListView {
  space?: string;
  state?: string;
  cursor?: string;
}

/** What the page of a session shows: older messages, and to which one the box replies. */
export interface SessionView {
  before?: string | undefined;
  reply?: string;
}

/** Returns the URL of the list. */
export function listLink(view: ListView): string {
  return address(SESSIONS, { ...view });
}

/** Returns the URL of a session's page, or of one message on it. */
export function sessionLink(session: string, view: SessionView = {}, message?: string): string {
  const path = address(SESSION + session.split("/").map(encodeURIComponent).join("/"), { ...view });
  return message === undefined ? path : `${path}#${message}`;
}

/** What the page of a message shows; "" and undefined: the newest text, no diff. */
export interface MessageView {
  version?: string;
  from?: string;
  to?: string;
}

/** Returns the URL of a message's page. */
export function messageLink(session: string, message: string, view: MessageView = {}): string {
  return address(`${MESSAGE}${session.split("/").map(encodeURIComponent).join("/")}/${message}`, { ...view });
}

/** Returns where a form of a session's page goes. */
export function formLink(session: string, form: string): string {
  return address(sessionLink(session), { form });
}
