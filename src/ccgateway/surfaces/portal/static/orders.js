// Orders to change a job, each with a question before it where it matters, and with what came of it, honestly.

import { ask } from "./api.js";
import { el, field, select, theirs } from "./dom.js";
import { failure, remedy } from "./notices.js";
import { mayAdminister } from "./session.js";

const RESULT = "outcome code message retryable job { tags { id type name scope } metaData state duration }";
const TAG = `mutation Tag($jobs: [JobTarget!]!, $tags: [TagInput!]!) { tagJobs(jobs: $jobs, tags: $tags) { ${RESULT} } }`;
const UNTAG = `mutation Untag($jobs: [JobTarget!]!, $tags: [TagInput!]!) { untagJobs(jobs: $jobs, tags: $tags) { ${RESULT} } }`;
const NOTE = `mutation Note($jobs: [JobMetaInput!]!) { editJobsMeta(jobs: $jobs) { ${RESULT} } }`;
const STOP = `mutation Stop($jobs: [StopJobInput!]!) { stopJobs(jobs: $jobs) { ${RESULT} } }`;
const DELETE = "mutation Delete($jobs: [JobTarget!]!) { deleteJobs(jobs: $jobs) { outcome code message retryable } }";
const OUTCOMES = {
  DONE: ["good", "Done."],
  UNCHANGED: ["good", "It was so already; nothing was changed."],
  PENDING: ["partial", "The site has taken it and will show it later."],
  FAILED: ["bad", "It did not take effect, or not wholly."],
  UNKNOWN: ["partial", "It was sent, and whether it took effect could not be found out. Look before you send it again."],
};

// by id and by key: then it is this very job, though its site may use the number again
const target = (job) => ({ id: job.id, site: job.site, cluster: job.cluster, jobId: job.jobId, startTime: job.startTime });

/** What came of an order, in words. */
function outcome(result) {
  const [kind, words] = OUTCOMES[result.outcome] ?? ["partial", result.outcome];
  return el("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status", data: { outcome: result.outcome } },
    el("p", {}, words, " ", result.message ? theirs(result.message, 400) : "", " ", result.code ? el("code", {}, result.code) : "",
      kind === "good" || !result.code ? "" : ` ${remedy(result.code, result.retryable)}`));
}

/** Sends an order and says in `box` what came of it; hands the job, as it is then, to `changed`. */
async function send(box, document, name, variables, changed) {
  box.replaceChildren(el("p", { class: "waiting", role: "status" }, "Sent; waiting for the site."));
  try {
    const result = (await ask(document, variables)).data[name][0];
    box.replaceChildren(outcome(result));
    if (result.outcome !== "FAILED") await changed(result.job ?? null, result);
    return result;
  } catch (error) {
    box.replaceChildren(failure(error));
    return null;
  }
}

function confirmed(question, verb) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      el("form", { method: "dialog" }, el("h2", { id: "question" }, question[0]), el("p", {}, question[1]),
        el("div", { class: "buttons" }, el("button", { value: "no" }, "Cancel"), el("button", { value: "yes", class: "danger" }, verb))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// one place for what came of a tag, as the tags are drawn anew with every change
const tagResult = el("div");

/** The tags of a job, each to be taken away, and a form for another. */
export function tagOrders(job, changed) {
  if (tagResult.dataset.job !== job.id) tagResult.replaceChildren();
  tagResult.dataset.job = job.id;
  const remove = (tag) => el("button", {
    type: "button", class: "remove", "aria-label": `Take away the tag ${tag.type}: ${tag.name}`,
    onclick: () => send(tagResult, UNTAG, "untagJobs", { jobs: [target(job)], tags: [{ type: tag.type, name: tag.name, scope: tag.scope }] }, changed),
  }, "×");
  const [type, name] = [el("input", { name: "type", required: true, maxlength: 100, autocomplete: "off" }), el("input", { name: "name", required: true, maxlength: 100, autocomplete: "off" })];
  const scope = select("scope", [["global", "Everybody"], ["admin", "Administrators"], ...(job.user ? [[job.user, `Only ${job.user}`]] : [])], "global");
  const form = el("form", { class: "fields inline", onsubmit: (event) => {
    event.preventDefault();
    send(tagResult, TAG, "tagJobs", { jobs: [target(job)], tags: [{ type: type.value.trim(), name: name.value.trim(), scope: scope.value }] }, changed);
  } }, field("Type", type), field("Name", name), field("Seen by", scope), el("button", { type: "submit" }, "Add tag"));
  const box = el("div", {},
    job.tags.length
      ? el("p", { class: "tags" }, job.tags.map((tag) => el("span", { class: "tag", data: { tag: `${tag.type}:${tag.name}` }, title: `Seen by: ${tag.scope}` }, theirs(`${tag.type}: ${tag.name}`, 80), remove(tag))))
      : el("p", { class: "muted" }, "None yet."),
    form, tagResult);
  return box;
}

const LONGEST_NOTE = 10000;

/** A form that writes a note into the job's metadata. */
export function noteOrder(job, changed) {
  const result = el("div");
  const before = typeof job.metaData?.note === "string" ? job.metaData.note : "";
  // browsers take half a minute to lay out a megabyte in a field
  const isLong = before.length > LONGEST_NOTE;
  const text = el("textarea", { name: "note", rows: 2, maxlength: LONGEST_NOTE, required: true, value: isLong ? "" : before });
  return el("form", { class: "note", onsubmit: (event) => {
    event.preventDefault();
    send(result, NOTE, "editJobsMeta", { jobs: [{ job: target(job), values: { note: text.value } }] }, changed);
  } }, field("Note", text, isLong ? "replaces one that is too long to be changed here" : null), el("button", { type: "submit" }, "Save note"), result);
}

// likewise for what came of a stop or a delete
const orderResult = el("div");

/** What administrators may do to a job; null for others. */
export function adminOrders(job, session, changed) {
  if (!mayAdminister(session)) return null;
  if (orderResult.dataset.job !== job.id) orderResult.replaceChildren();
  orderResult.dataset.job = job.id;
  const result = orderResult;
  const state = select("state", ["completed", "failed", "cancelled", "timeout", "out_of_memory"].map((one) => [one, one.replaceAll("_", " ")]), "completed", { "aria-label": "State it ended in" });
  const stop = async () => {
    const question = [`Record job ${job.jobId} as ended?`, `Its site will show it as ${state.value.replaceAll("_", " ")}, ended just now. The scheduler is not told: this does not cancel the job itself.`];
    if (!(await confirmed(question, "Record it"))) return;
    const stopTime = `${new Date().toISOString().slice(0, 19)}Z`;
    await send(result, STOP, "stopJobs", { jobs: [{ job: target(job), stopTime, state: state.value }] }, changed);
  };
  const erase = async () => {
    const question = [`Delete job ${job.jobId}?`, "It is deleted from the site's database, which cannot be undone here. What is in the site's archive stays there."];
    if (!(await confirmed(question, "Delete it"))) return;
    await send(result, DELETE, "deleteJobs", { jobs: [target(job)] }, (_, { outcome: what }) => changed(what === "DONE" ? "gone" : null));
  };
  return el("section", { class: "card" }, el("h2", {}, "Administration"),
    el("div", { class: "buttons" },
      job.state === "running" ? [state, el("button", { type: "button", id: "stop", onclick: stop }, "Record as ended…")] : null,
      el("button", { type: "button", class: "danger", id: "delete", onclick: erase }, "Delete…")),
    result);
}
