// What stands in the place of rows where there are none: each says why, and what to do.
import type { Failure } from '../api';
import { h } from '../dom';
import { t } from '../i18n';
import { icon, type Icon } from '../icons';

function state(name: string, picture: Icon, title: string, text: string, action?: HTMLElement): HTMLElement {
  return h('div', { class: `state state-${name}`, role: name === 'failed' ? 'alert' : 'status' },
    h('div', { class: 'state-icon' }, icon(picture)), h('h2', {}, title), h('p', {}, text), action ?? null);
}

export function empty(upload: () => void): HTMLElement {
  return state('empty', 'empty', t().emptyTitle, t().emptyText,
    h('button', { type: 'button', class: 'button is-primary', on: { click: upload } }, icon('upload'), t().uploadFiles));
}

export function nothing(clear: () => void): HTMLElement {
  return state('nothing', 'search', t().nothingTitle, t().nothingText,
    h('button', { type: 'button', class: 'button', on: { click: clear } }, t().clearAll));
}

export function failed(failure: Failure | null, retry: () => void): HTMLElement {
  const why = failure?.status === 0 ? t().unreachable : failure?.status === 403 ? t().notAllowed : failure?.detail ?? '';
  return state('failed', 'alert', t().failedTitle, why,
    h('button', { type: 'button', class: 'button is-primary', on: { click: retry } }, t().retry));
}
