// What a person does, sent to the sandbox. Each function tells what went wrong in words and never throws.

import { toast } from "./dom.js";
import * as api from "./api.js";
import { confirm } from "./dialogs.js";
import { encode } from "./composer.js";

/** The parts of an immediate answer: {text, blocks} or null when there is nothing to show. */
export function immediateAnswer(answer, command) {
  const body = answer?.body;
  const status = answer?.status;
  if (answer?.error) return { text: failure(command, answer.error), failed: true };
  if (typeof status === "number" && status !== 200) return { text: failure(command, status ? "dispatch_failed" : "operation_timeout"), failed: true };
  if (!body) return null;
  if (typeof body === "string") return { text: body };
  if (body.response_type === "in_channel") return null;
  return body.text || body.blocks?.length ? { text: body.text ?? "", blocks: body.blocks } : null;
}

/** An error name in Slack's words; a whole sentence stays as it is. */
function failure(command, error) {
  return /\s/.test(error) ? error : `${command} failed with the error "${error}"`;
}

/** Sends what was typed; true when it may leave the box. `keep(message)` shows a line only to this person. */
export async function send(text, { state, viewer, channel, threadTs, keep }) {
  try {
    if (text.startsWith("/") && !threadTs) {
      const answer = await api.command(viewer.id, channel.id, text);
      keep(text.split(/\s/)[0], answer);
    } else {
      await api.message(viewer.id, channel.id, encode(text, state), threadTs);
    }
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

export async function react(viewer, channel, message, name) {
  try {
    await api.react(viewer.id, channel.id, message.ts, name);
  } catch (error) {
    toast(error.message.includes("already") ? `You have reacted with ${name} already.` : error.message);
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
    if (typeof answer?.status === "number" && answer.status !== 200) toast(answer.error || "This app did not respond. Try again?");
  } catch (error) {
    toast(error.message);
  } finally {
    node?.removeAttribute("aria-busy");
    node?.classList.remove("busy");
  }
}

/** Submits a view; the mistakes by block, or null when it was taken. Throws an Error with Slack's words. */
export async function submit(viewer, view, values) {
  const answer = await api.submit({ user: viewer.id, view_id: view.id, values });
  const body = answer?.body ?? answer;
  if (body?.response_action === "errors") return body.errors;
  if (answer?.errors && Object.keys(answer.errors).length) return answer.errors;
  if (typeof answer?.status === "number" && answer.status !== 200) throw new Error("We had some trouble connecting. Try again?");
  return null;
}
