// What a person does, sent to the sandbox. Each function tells what went wrong in words and never throws.

import { toast } from "./dom.js";
import * as api from "./api.js";
import { confirm } from "./dialogs.js";

/** Sends what was typed; true when it may leave the box. The answers come back with the workspace's state. */
export async function send(text, { viewer, channel, threadTs }) {
  try {
    if (text.startsWith("/") && !threadTs) await api.command(viewer.id, channel.id, text);
    else await api.message(viewer.id, channel.id, text, threadTs);
    return true;
  } catch (error) {
    // An unknown command is told by Slackbot in the channel; saying it twice helps nobody.
    if (error.body?.commands) return true;
    toast(error.message);
    return false;
  }
}

export async function react(viewer, channel, message, name) {
  try {
    const mine = (message.reactions ?? []).some((r) => r.name === name && r.users?.includes(viewer.id));
    await api.react(viewer.id, channel.id, message.ts, name, mine);
  } catch (error) {
    toast(error.message);
  }
}

/** A button, menu or field in a message or a view (`where`: {channel, ts} or {view_id}). */
export async function act(viewer, where, element, block, choice, node, ctx) {
  if (element.confirm && !(await confirm(element.confirm, ctx))) return;
  node?.setAttribute("aria-busy", "true");
  node?.classList.add("busy");
  try {
    const answer = await api.click({
      user: viewer.id, ...where, action_id: element.action_id, block_id: block.block_id,
      ...(element.type === "button" ? { value: element.value } : choice), confirm: true,
    });
    if (answer?.error) toast(`This app did not respond to "${element.text?.text ?? "your choice"}" (${answer.error}). Try again?`);
  } catch (error) {
    toast(error.message);
  } finally {
    node?.removeAttribute("aria-busy");
    node?.classList.remove("busy");
  }
}

/** Submits a view; the mistakes by block, or null when it was taken. Throws an Error with Slack's words. */
export async function submit(viewer, view, values) {
  let answer;
  try {
    answer = await api.submit({ user: viewer.id, view_id: view.id, values });
  } catch (error) {
    if (error.body?.errors) return error.body.errors;
    throw error;
  }
  if (answer?.errors && Object.keys(answer.errors).length) return answer.errors;
  if (answer?.error) throw new Error("We had some trouble connecting. Try again?");
  return null;
}
