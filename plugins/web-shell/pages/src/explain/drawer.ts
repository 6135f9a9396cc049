// The story of a study, beside the list: where it came from, what rules made of it, where it went, who looked.
import { Failure } from '../api';
import { dialog } from '../dialog';
import type { Study } from '../dicom';
import { h, replace } from '../dom';
import { t } from '../i18n';
import { icon, type Icon } from '../icons';
import { deciding, explain, grouped, planText, worded, type Explained, type Job } from './model';

const AUDIT_SHOWN = 30;

// 2026-11-30T02:54:19.946Z in the browser's own time zone.
function when(text: string): string {
  const at = new Date(text);
  if (Number.isNaN(at.getTime()) || at.getTime() === 0) return '';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// What has no words here, as what a plugin declares, is shown as it calls itself.
function attributeName(tag: number): string {
  const digits = (tag >>> 0).toString(16).toUpperCase().padStart(8, '0');
  const name = worded(t().attributes, digits);
  return name === digits ? `(${digits.slice(0, 4)},${digits.slice(4)})` : name;
}

function entry(title: string, detail: string, time: string, mark?: HTMLElement): HTMLElement {
  return h('li', { class: 'entry' },
    h('div', { class: 'entry-main' }, h('span', { class: 'entry-title' }, title), mark ?? null),
    detail !== '' && h('div', { class: 'entry-detail' }, detail),
    time !== '' && h('time', { class: 'sub' }, time));
}

function section(picture: Icon, title: string, entries: HTMLElement[], otherwise = ''): HTMLElement | null {
  if (entries.length === 0 && otherwise === '') return null;
  return h('section', { class: 'story' },
    h('h3', {}, icon(picture), title),
    entries.length > 0 ? h('ul', {}, ...entries) : h('p', { class: 'sub' }, otherwise));
}

const TONES: Record<string, string> = { done: 'good', failed: 'bad', waiting: 'wait', running: 'wait' };

function stateMark(job: Job): HTMLElement {
  return h('span', { class: `mark-state is-${TONES[job.state] ?? 'wait'}` }, t().jobStates[job.state] ?? job.state);
}

function jobEntry(job: Job): HTMLElement {
  const detail = [job.result, job.rule && t().askedBy(job.rule), job.attempts > 1 && t().attempts(job.attempts)].filter(Boolean).join(' · ');
  const what = job.lane || worded(t().jobTypes, job.type);
  const name = job.count > 1 ? `${what} × ${job.count}` : what;
  return entry(name, detail, when(job.ended) || when(job.created), stateMark(job));
}

function story(all: Explained): (HTMLElement | null)[] {
  const texts = t();
  const decisions = deciding(all.rules), audit = grouped(all.audit);
  return [
    section('upload', texts.explainReceived, all.arrivals.map(a =>
      entry(texts.received(a.instances, a.peer || a.calling_aet), [a.address, a.non_conformance].filter(Boolean).join(' · '), when(a.last)))),
    section('why', texts.explainRules, decisions.map(rule =>
      entry(rule.count > 1 ? `${rule.rule} × ${rule.count}` : rule.rule, [planText(rule, texts.verbs), rule.reason].filter(Boolean).join(' · '), when(rule.last),
        h('span', { class: 'mark-state is-wait' }, worded(texts.events, rule.event)))), texts.explainNoRules),
    section('sort', texts.explainJobs, all.jobs.map(jobEntry), texts.explainNoJobs),
    section('alert', texts.explainHeld, all.quarantine.map(q => entry(q.reason || q.rule, q.SOPInstanceUID, when(q.when)))),
    section('done', texts.explainEdits, all.edits.map(e =>
      entry(attributeName(e.tag), [e.who, e.why].filter(Boolean).join(' · '), when(e.when)))),
    section('user', texts.explainAudit, audit.slice(0, AUDIT_SHOWN).map(a =>
      entry(a.count > 1 ? `${worded(texts.auditActions, a.action)} × ${a.count}` : worded(texts.auditActions, a.action), a.who, when(a.when)))),
  ];
}

function failure(error: unknown): string {
  const texts = t();
  if (!(error instanceof Failure)) return texts.explainFailed;
  if (error.status === 0) return texts.unreachable;
  if (error.status === 401 || error.status === 403) return texts.explainDenied;
  return error.detail ? `${texts.explainFailed} ${error.detail}` : texts.explainFailed;
}

export function explainDrawer(study: Study): void {
  const body = h('div', { class: 'stories', 'aria-live': 'polite' }, h('p', { class: 'sub' }, t().explainLoading));
  const from = document.activeElement;
  const drawer = dialog(t().explainTitle, 'drawer',
    h('p', { class: 'drawer-who' }, h('strong', {}, study.name || t().noName),
      h('span', { class: 'sub' }, [study.id, study.description, study.accession].filter(Boolean).join(' · '))), body);
  drawer.addEventListener('close', () => { if (from instanceof HTMLElement) from.focus(); });
  explain(study.uid).then(
    all => replace(body, ...story(all)),
    error => replace(body, h('p', { class: 'complaint', role: 'alert' }, icon('alert'), h('span', {}, failure(error)))));
}
