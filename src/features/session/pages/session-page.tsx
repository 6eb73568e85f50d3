// The page of one session: its messages in threads, its participants, and a box to write in.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { counted } from "../../../lib/counted.ts";
import { printableLine } from "../../../lib/printable.ts";
import type { Page, PageForm } from "../../../operation/page.ts";
import { AUDIT_OPERATION, AuditLink } from "../../../page/audit-link.tsx";
import { Card } from "../../../page/card.tsx";
import { FormKey } from "../../../page/form-key.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { messageAck } from "../ack.ts";
import { sessionGet } from "../get.ts";
import { messageList } from "../message-list.ts";
import { messagePost } from "../post.ts";
import type { ShownMessage } from "../shown.ts";
import { sessionClose, sessionReopen } from "../state.ts";
import { formLink, listLink, SESSION, SESSIONS, type SessionView, sessionLink } from "./links.ts";
import { Acknowledge, MessageHead, MessageLink, type MessageProps, MessageText } from "./message.tsx";
import { Timeline } from "./timeline.tsx";

/** Messages on one page. */
const PAGE = 100;
const KINDS = ["text", "plan", "question", "answer", "decision", "handoff", "status"];

/** Splits names that a person typed. */
function namesIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((name) => name !== "");
}

const post: PageForm = {
  operation: messagePost.name,
  label: "Post",
  fields: ["text", "kind", "to", "visibility", "parent", "ack"],
  known: (session) => ({ session }),
  input: ({ text = "", kind = "", to = "", visibility = "", parent = "", ack }) => ({
    text,
    ...(kind === "" ? {} : { kind }),
    ...(namesIn(to).length === 0 ? {} : { to: namesIn(to) }),
    ...(visibility === "" ? {} : { visibility }),
    ...(parent === "" ? {} : { parent }),
    ...(ack === undefined ? {} : { ack: true }),
  }),
  next: ({ message }, session) => sessionLink(session, {}, String(message)),
};

const ack: PageForm = {
  operation: messageAck.name,
  label: "Acknowledge",
  fields: ["message"],
  known: (session) => ({ session }),
  input: ({ message = "" }) => ({ messages: [message] }),
  next: (_output, session) => sessionLink(session),
};

const become = (operation: string, label: string): PageForm => ({
  ...{ operation, label, fields: [], known: (session) => ({ session }), input: () => ({}) },
  next: (_output, session) => sessionLink(session),
});

const close = become(sessionClose.name, "Close");
const reopen = become(sessionReopen.name, "Open again");

/** The page of one session. */
export const sessionPage: Page = {
  path: SESSION,
  summary: "One session: its messages in threads, its participants, and a form to write in it",
  async open(visit) {
    const session = visit.rest;
    const view = { before: visit.parameter("before"), reply: visit.parameter("reply") };
    const [got, page, { name, members }] = await Promise.all([
      visit.ask(sessionGet, { session, limit: 1 }),
      visit.ask(messageList, { session, limit: PAGE, ...(view.before && { before: view.before }) }),
      visit.frame(),
    ]);
    const replied = page.messages.find(({ message }) => message === view.reply);
    return {
      title: `${printableLine(got.purpose === "" ? session : got.purpose)}: ${name}`,
      follows: { id: session },
      body: (
        <Session
          got={got}
          page={page}
          view={view}
          replied={replied}
          members={members}
          nowMs={visit.nowMs}
          mayPost={visit.may(messagePost.name, got.space)}
          mayAudit={visit.may(AUDIT_OPERATION, got.space)}
        />
      ),
    };
  },
  forms: { post, ack, close, reopen },
};

interface SessionProps {
  got: z.infer<typeof sessionGet.output>;
  page: z.infer<typeof messageList.output>;
  view: Required<SessionView>;
  replied: ShownMessage | undefined;
  members: Named;
  nowMs: number;
  mayPost: boolean;
  mayAudit: boolean;
}

function Session({ got, page, view, replied, members, nowMs, mayPost, mayAudit }: SessionProps) {
  const { session, space, purpose } = got;
  const takesMessages = mayPost && got.state === "open";
  return (
    <>
      <div class="title">
        <p class="crumb">
          <a href={SESSIONS}>Sessions</a> <span aria-hidden="true">/</span> <a href={listLink({ space })}>{space}</a>
        </p>
        <h1>
          <Words text={purpose === "" ? session : purpose} />
        </h1>
        <div id="about" data-part>
          <About got={got} members={members} nowMs={nowMs} mayPost={mayPost} mayAudit={mayAudit} />
        </div>
      </div>
      <div class="columns">
        <div class="wide">
          <Card id="messages" title="Messages">
            <nav class="pages" aria-label="Pages of the messages">
              {page.older === undefined ? null : <a href={sessionLink(session, { before: page.older })}>Older</a>}
              {view.before === "" ? null : <a href={sessionLink(session)}>Newest</a>}
            </nav>
            <Threads messages={page.messages} takesReplies={takesMessages} members={members} nowMs={nowMs} />
          </Card>
          {takesMessages ? <Compose session={session} replied={replied} members={members} nowMs={nowMs} /> : null}
        </div>
        <div class="side">
          <Card id="timeline" title="Timeline">
            <Timeline messages={page.messages} members={members} nowMs={nowMs} />
          </Card>
          <Card id="participants" title="Participants">
            <Participants got={got} members={members} nowMs={nowMs} />
          </Card>
        </div>
      </div>
    </>
  );
}

type AboutProps = Pick<SessionProps, "got" | "members" | "nowMs">;

function About({ got, members, nowMs, mayPost, mayAudit }: AboutProps & Pick<SessionProps, "mayPost" | "mayAudit">) {
  return (
    <div class="facts">
      <span class="id">{got.session}</span>
      <span>
        begun by <Words text={got.agent ?? nameText(got.author, members)} /> <Ago time={got.created_at} nowMs={nowMs} />
      </span>
      <span>{counted(got.message_count, "message")}</span>
      {got.state === "closed" ? <span class="pill warning">closed</span> : null}
      {mayAudit ? <AuditLink target={got.session} /> : null}
      {mayPost ? (
        <form method="post" action={formLink(got.session, got.state === "closed" ? "reopen" : "close")}>
          <button type="submit">{(got.state === "closed" ? reopen : close).label}</button>
        </form>
      ) : null}
    </div>
  );
}

function Participants({ got, members, nowMs }: AboutProps) {
  return (
    <ul class="participants">
      {got.participants.map(({ author, agent, messages, last_at }) => (
        <li>
          <Words text={agent ?? nameText(author, members)} />{" "}
          <span class="quiet">
            {agent === undefined ? "" : `of ${nameText(author, members)}, `}
            {counted(messages, "message")}
            {last_at === undefined ? null : (
              <>
                , <Ago time={last_at} nowMs={nowMs} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

interface ThreadsProps extends Omit<MessageProps, "message"> {
  messages: readonly ShownMessage[];
  takesReplies: boolean;
}

/** Replies are below what they reply to, where that is on the page. */
function Threads({ messages, ...shown }: ThreadsProps) {
  if (messages.length === 0) return <p class="empty">Nobody has written anything that you may read.</p>;
  const here = new Set(messages.map(({ message }) => message));
  const below = Map.groupBy(messages, ({ parent }) => (parent !== undefined && here.has(parent) ? parent : ""));
  return <Replies of="" below={below} {...shown} />;
}

interface RepliesProps extends Omit<ThreadsProps, "messages"> {
  of: string;
  below: ReadonlyMap<string, readonly ShownMessage[]>;
}

function Replies({ of, below, ...shown }: RepliesProps) {
  const { takesReplies, members, nowMs } = shown;
  const messages = below.get(of) ?? [];
  if (messages.length === 0) return null;
  return (
    <ol class="thread">
      {messages.map((message) => (
        <li>
          <article id={message.message} class="message">
            <MessageHead message={message} members={members} nowMs={nowMs} />
            {message.parent !== undefined && of === "" ? (
              <p class="quiet">a reply to {message.parent}, which is on an older page</p>
            ) : null}
            <MessageText message={message} />
            <Acknowledge message={message} members={members} />
            {takesReplies ? (
              <a class="quiet reply" href={`${sessionLink(message.session, { reply: message.message })}#compose`}>
                Reply
              </a>
            ) : null}{" "}
            <MessageLink message={message} />
          </article>
          <Replies of={message.message} below={below} {...shown} />
        </li>
      ))}
    </ol>
  );
}

/** Not a part that is exchanged: what somebody types stays. */
function Compose({
  session,
  replied,
  members,
  nowMs,
}: Pick<SessionProps, "replied" | "members" | "nowMs"> & { session: string }) {
  return (
    <section class="card" id="compose" aria-labelledby="compose-title">
      <h2 id="compose-title">{replied === undefined ? "Write a message" : "Write a reply"}</h2>
      {replied === undefined ? null : (
        <blockquote>
          <MessageHead message={replied} members={members} nowMs={nowMs} />
          <p class="quiet">
            <Words text={replied.text.slice(0, 200)} />
          </p>
          <a href={sessionLink(session)}>Do not reply</a>
        </blockquote>
      )}
      <form method="post" action={formLink(session, "post")} class="compose">
        <FormKey />
        {replied === undefined ? null : <input type="hidden" name="parent" value={replied.message} />}
        <label>
          <span class="hidden">Message</span>
          <textarea name="text" rows={4} required placeholder="Text; @name mentions somebody" />
        </label>
        <div class="filter">
          <label>
            <span class="hidden">Kind</span>
            <select name="kind">
              {KINDS.map((kind) => (
                <option value={kind}>{kind}</option>
              ))}
            </select>
          </label>
          <label>
            <span class="hidden">To</span>
            <input name="to" placeholder="to: agents, logins" maxlength={1000} />
          </label>
          <label>
            <span class="hidden">Who may read it</span>
            <select name="visibility">
              <option value="public">all who read the space</option>
              <option value="private">only those in to</option>
              <option value="admin_only">admins</option>
            </select>
          </label>
          <label class="check">
            <input type="checkbox" name="ack" value="yes" /> ask for an acknowledgement
          </label>
          <button type="submit">{post.label}</button>
        </div>
      </form>
    </section>
  );
}
