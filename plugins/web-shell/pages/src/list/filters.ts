// The line below the search: period, days, kinds of images.
import { h } from '../dom';
import { t } from '../i18n';
import { MODALITIES, PERIODS, type Period, type Query } from './query';

function periodName(period: Period): string {
  const texts = t();
  return { any: texts.anyTime, '1': texts.today, '3': texts.days3, '7': texts.days7, '30': texts.days30 }[period];
}

function choice(label: string, isOn: boolean, pick: () => void): HTMLButtonElement {
  return h('button', { type: 'button', class: 'chip', 'aria-pressed': String(isOn), on: { click: pick } }, label);
}

function dayInput(label: string, value: string, pick: (value: string) => void): HTMLElement {
  const text = value ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : '';
  const input = h('input', { type: 'date', class: 'field is-small', value: text, 'aria-label': label });
  input.addEventListener('change', () => pick(input.value.replaceAll('-', '')));
  return h('label', { class: 'day' }, h('span', {}, label), input);
}

function days(query: Query, change: (next: Partial<Query>) => void): HTMLElement {
  return h('div', { class: 'days', role: 'group', 'aria-label': `${t().from} – ${t().to}` },
    dayInput(t().from, query.from, from => change({ from, period: 'any' })), dayInput(t().to, query.to, to => change({ to, period: 'any' })));
}

export function filters(query: Query, change: (next: Partial<Query>) => void): HTMLElement {
  const isRange = query.from !== '' || query.to !== '';
  const range = days(query, change);
  range.hidden = !isRange;
  const custom = choice(t().days, isRange, () => {
    range.hidden = false;
    range.querySelector('input')?.focus();
  });
  const toggle = (modality: string) => change({
    modalities: query.modalities.includes(modality) ? query.modalities.filter(m => m !== modality) : [...query.modalities, modality],
  });
  return h('div', { class: 'filters' },
    h('div', { class: 'segments', role: 'group', 'aria-label': t().period },
      ...PERIODS.map(period => choice(periodName(period), !isRange && query.period === period, () => change({ period, from: '', to: '' }))), custom),
    range,
    h('div', { class: 'chips', role: 'group', 'aria-label': t().modality },
      ...MODALITIES.map(modality => choice(modality, query.modalities.includes(modality), () => toggle(modality)))));
}
