// The inbox of whoever looks: what names it, and what waits for its acknowledgement.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import type { Named } from "../../../page/text.tsx";
import { inbox } from "../inbox.ts";
import { INBOX, sessionLink } from "./links.ts";
import { Acknowledge, MessageHead, MessageLink, MessageText } from "./message.tsx";

/** Messages on the page. */
const PAGE = 50;

/** The inbox. */
export const inboxPage: Page = {
  path: INBOX,
  summary: "The inbox of the caller over all sessions",
  navigation: { order: 11, label: "Inbox", needs: inbox.name },
  async open(visit) {
    const [found, { name, members }] = await Promise.all([visit.ask(inbox, { limit: PAGE }), visit.frame()]);
    return {
      title: `Inbox: ${name}`,
      follows: {},
      body: <Inbox found={found} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface InboxProps {
  found: z.infer<typeof inbox.output>;
  members: Named;
  nowMs: number;
}

function Inbox({ found, members, nowMs }: InboxProps) {
  return (
    <section class="card" aria-labelledby="inbox-title">
      <h1 id="inbox-title">Inbox</h1>
      <div id="inbox" data-part>
        {found.messages.length === 0 ? <p class="empty">Nothing names you or waits for you.</p> : null}
        <ol class="thread">
          {found.messages.toReversed().map((message) => (
            <li>
              <article class="message">
                <MessageHead message={message} members={members} nowMs={nowMs} />
                <MessageText message={message} />
                <Acknowledge message={message} members={members} />
                <a class="quiet" href={sessionLink(message.session, {}, message.message)}>
                  in {message.session}
                </a>{" "}
                <MessageLink message={message} />
              </article>
            </li>
          ))}
        </ol>
        {found.more ? <p class="quiet">There are older ones: `cairn inbox` shows them.</p> : null}
      </div>
    </section>
  );
}
