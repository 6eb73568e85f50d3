// Targets of kind `notify`: people, by ntfy, Slack, Discord, Telegram or mail. Events that come close together are one
// message (message.ts).

import type { z } from "zod";
import { reasonOf } from "../../../../lib/reason-of.ts";
import type { Target } from "../delivery.ts";
import { urlOf } from "./address.ts";
import {
  DEFAULT_GROUP_SECONDS,
  DEFAULT_PER_HOUR,
  DEFAULT_REMIND_TIMES,
  DEFAULT_TIMEOUT_SECONDS,
  MAX_IN_MESSAGE,
  type notifyTarget,
  TELEGRAM,
} from "./declared.ts";
import { mailer } from "./email.ts";
import { MAX_TEXT, type Message, messageOf } from "./message.ts";
import { type TargetParts, wayTo } from "./parts.ts";
import { post, shownText } from "./post.ts";

type NotifyConfig = z.infer<typeof notifyTarget>;
type PostedConfig = Exclude<NotifyConfig, { service: "email" }>;

/** Makes the target. */
export function makeNotifyTarget(config: NotifyConfig, parts: TargetParts): Target {
  const { group_seconds: seconds = DEFAULT_GROUP_SECONDS, per_hour: perHour = DEFAULT_PER_HOUR } = config;
  const { remind_seconds: again, remind_times: times = DEFAULT_REMIND_TIMES } = config;
  const remind = again === undefined ? undefined : { everyMs: 1000 * again, times };
  return {
    group: { everyMs: 1000 * seconds, perHour, shown: MAX_IN_MESSAGE, remind },
    send: config.service === "email" ? mailer(config, parts) : poster(config, parts),
  };
}

function poster(config: PostedConfig, parts: TargetParts): Target["send"] {
  const { readSecret, nowMs } = parts;
  const way = config.service === "ntfy" ? wayTo(config, parts) : parts.outbound;
  const { timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  return async (delivery, signal) => {
    try {
      const { url, headers, value } = requestOf(config, messageOf(delivery, MAX_TEXT[config.service]), readSecret);
      const sent = { "content-type": "application/json", ...headers };
      const body = JSON.stringify(value);
      return await post(way, { url, headers: sent, body, deadlineMs: 1000 * seconds }, signal, nowMs());
    } catch (error) {
      signal.throwIfAborted();
      return { result: "failed", detail: shownText(reasonOf(error)) };
    }
  };
}

function requestOf(
  config: PostedConfig,
  { title, text, priority, tags }: Message,
  readSecret: TargetParts["readSecret"],
): { url: URL; headers: Record<string, string>; value: unknown } {
  switch (config.service) {
    case "ntfy": {
      const headers = config.token === undefined ? {} : { authorization: `Bearer ${readSecret(config.token)}` };
      const value = { topic: readSecret(config.topic), title, message: text, tags, priority };
      return { url: urlOf(config.url, readSecret), headers, value };
    }
    case "slack":
      // Without marks of its own, so that no text of an event mentions anyone or makes a link.
      return { url: urlOf(config.url, readSecret), headers: {}, value: { text: slackText(`${title}\n${text}`) } };
    case "discord": {
      const value = { content: `${title}\n${text}`, allowed_mentions: { parse: [] } };
      return { url: urlOf(config.url, readSecret), headers: {}, value };
    }
    case "telegram": {
      const url = urlOf(config.url ?? TELEGRAM, readSecret);
      url.pathname = `/bot${readSecret(config.token)}/sendMessage`;
      // Without parse_mode: unbalanced marks would be refused, and the message lost.
      return { url, headers: {}, value: { chat_id: config.chat_id, text: `${title}\n${text}` } };
    }
  }
}

function slackText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
