// A dialog over the page: the browser keeps the focus in it and closes it with Escape.
import { h } from './dom';
import { t } from './i18n';
import { icon } from './icons';

export function dialog(title: string, className: string, ...content: (Node | null)[]): HTMLDialogElement {
  const element = h('dialog', { class: `dialog ${className}`, 'aria-label': title },
    h('div', { class: 'dialog-head' }, h('h2', {}, title),
      h('button', { type: 'button', class: 'button is-quiet', 'aria-label': t().close, on: { click: () => element.close() } }, icon('close'))),
    h('div', { class: 'dialog-body' }, ...content));
  element.addEventListener('close', () => element.remove());
  element.addEventListener('click', event => { if (event.target === element) element.close(); });
  document.body.append(element);
  element.showModal();
  return element;
}

export function keyHelp(): void {
  dialog(t().keysTitle, 'dialog-keys',
    h('dl', { class: 'keys' }, ...t().keyList.map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))));
}
