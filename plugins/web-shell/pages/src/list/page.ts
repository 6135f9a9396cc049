// The list of studies: header, search, rows; what the keyboard does.
import { Failure, signOut, type Session } from '../api';
import { keyHelp } from '../dialog';
import type { Study } from '../dicom';
import { debounce, h, replace } from '../dom';
import { setLanguage, language, t } from '../i18n';
import { icon, mark } from '../icons';
import { toggleTheme } from '../theme';
import { acceptDrops, Dock } from '../upload/dock';
import { filters } from './filters';
import { live } from './live';
import { load, type Found } from './load';
import { addressOf, isEmpty, LIMIT, NOTHING, type Query } from './query';
import { skeleton, table } from './rows';
import { empty, failed, nothing } from './states';

const QUIET_MS = 250;

export interface ListOptions {
  session: Session;
  query: Query;
  first: Promise<Found>; // asked for before the page was there
  viewer: string; // address with {study}; "": none
  explain: ((study: Study) => void) | null;
  rebuild: (query: Query) => void; // in another language
  signedOut: () => void;
}

export class ListPage {
  private query: Query;
  private found: Found | null = null;
  private asking: AbortController | null = null;
  private isStale = false; // something happened, and somebody was reading
  private readonly page = new AbortController();
  private readonly body = h('main', { class: 'content', id: 'content', tabindex: -1 });
  private readonly bar = h('div', { class: 'bar-filters' });
  private readonly count = h('p', { class: 'count', role: 'status' });
  private readonly search = h('input', { class: 'field search-field', type: 'search', autocomplete: 'off', spellcheck: 'false' });
  private readonly dock: Dock;
  private readonly veil: HTMLElement;

  constructor(private readonly into: Element, private readonly options: ListOptions) {
    this.query = options.query;
    this.dock = new Dock(() => void this.reload(), options.signedOut);
    this.veil = acceptDrops(this.dock, () => document.querySelector('dialog[open]') === null, this.page.signal);
    this.search.value = this.query.text;
    const typed = debounce(() => this.change({ text: this.search.value }), QUIET_MS);
    this.search.addEventListener('input', typed);
    this.build();
    void this.show(options.first).then(() => this.page.signal.aborted || live(() => this.refresh(), this.page.signal));
    addEventListener('keydown', event => this.key(event), { signal: this.page.signal });
    this.body.addEventListener('focusout', () => setTimeout(() => this.isStale && this.refresh()));
  }

  retire(): void {
    this.page.abort();
    this.asking?.abort();
  }

  // ---- the page

  private build(): void {
    const texts = t();
    document.title = `${texts.studies} · ${texts.product}`;
    this.search.placeholder = texts.searchPlaceholder;
    this.search.setAttribute('aria-label', texts.searchLabel);
    replace(this.into,
      h('a', { class: 'skip', href: '#content' }, texts.skip),
      h('header', { class: 'top' },
        h('a', { class: 'brand', href: './', 'aria-label': texts.product }, mark(), h('span', {}, texts.product)),
        h('div', { class: 'search', role: 'search' }, icon('search'), this.search, h('kbd', { 'aria-hidden': 'true' }, '/')),
        h('div', { class: 'tools' }, ...this.tools())),
      h('div', { class: 'subhead' }, h('h1', { class: 'unseen' }, texts.studies), this.bar, this.count),
      this.body, this.dock.element, this.veil);
    this.drawFilters();
    replace(this.body, skeleton(8));
  }

  private tool(name: Parameters<typeof icon>[0], label: string, run: () => void, extra = ''): HTMLElement {
    return h('button', { type: 'button', class: `button is-quiet ${extra}`, title: label, 'aria-label': label, on: { click: run } }, icon(name));
  }

  private tools(): HTMLElement[] {
    const texts = t(), { session } = this.options;
    const isSignedIn = session.user !== '';
    return [
      h('button', { type: 'button', class: 'button is-primary upload-button', title: `${texts.uploadFiles} (U)`, on: { click: () => this.dock.choose(false) } },
        icon('upload'), h('span', {}, texts.upload)),
      this.tool('folder', texts.uploadFolder, () => this.dock.choose(true), 'needs-room'),
      h('button', { type: 'button', class: 'button is-quiet', lang: language() === 'zh' ? 'en' : 'zh', 'aria-label': texts.languageLabel, on: { click: () => this.switchLanguage() } }, texts.language),
      this.tool('contrast', texts.theme, toggleTheme),
      this.tool('keyboard', texts.keys, keyHelp, 'needs-room'),
      h('span', { class: 'who' }, icon('user'), h('span', {}, isSignedIn ? session.user : texts.thisMachine)),
      isSignedIn
        ? this.tool('exit', texts.signOut, () => void signOut().finally(this.options.signedOut))
        : h('button', { type: 'button', class: 'button', on: { click: this.options.signedOut } }, texts.signIn),
    ];
  }

  private switchLanguage(): void {
    setLanguage(language() === 'zh' ? 'en' : 'zh');
    this.options.rebuild(this.query);
  }

  private drawFilters(): void {
    replace(this.bar, filters(this.query, next => this.change(next)));
  }

  // ---- searching

  private change(next: Partial<Query>): void {
    this.query = { ...this.query, ...next };
    history.replaceState(null, '', addressOf(this.query));
    const focused = document.activeElement instanceof HTMLElement && this.bar.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.drawFilters();
    if (focused) // the same choice, drawn anew
      for (const button of this.bar.querySelectorAll('button')) if (button.textContent === focused) button.focus();
    void this.reload();
  }

  private clear(): void {
    this.search.value = '';
    this.change(NOTHING);
  }

  private async reload(): Promise<void> {
    this.asking?.abort();
    this.asking = new AbortController();
    this.body.classList.add('is-busy');
    await this.show(load(this.query, this.asking.signal));
  }

  // New studies come by themselves, but wait while somebody is on a row.
  private refresh(): void {
    if (this.page.signal.aborted) return;
    const isReading = this.body.contains(document.activeElement) && document.activeElement !== this.body;
    this.isStale = isReading || this.asking !== null;
    if (!this.isStale) void this.reload();
  }

  private async show(asked: Promise<Found>): Promise<void> {
    const mine = this.asking;
    try {
      const found = await asked;
      if (this.page.signal.aborted || mine !== this.asking) return;
      this.found = found;
      this.draw(found);
    } catch (error) {
      if (this.page.signal.aborted || mine !== this.asking || (error instanceof DOMException && error.name === 'AbortError')) return;
      if (error instanceof Failure && error.status === 401) return this.options.signedOut();
      this.found = null;
      replace(this.count);
      replace(this.body, failed(error instanceof Failure ? error : null, () => void this.reload()));
    }
    this.asking = null;
    this.body.classList.remove('is-busy');
    if (this.isStale) this.refresh();
  }

  private draw(found: Found): void {
    const { studies, hasMore } = found;
    replace(this.count, t().count(hasMore ? LIMIT : studies.length, hasMore), hasMore && h('span', { class: 'sub' }, t().moreHint));
    if (studies.length > 0)
      replace(this.body, table(studies, { viewer: study => this.viewerOf(study), explain: this.options.explain }));
    else
      replace(this.body, isEmpty(this.query) ? empty(() => this.dock.choose(false)) : nothing(() => this.clear()));
  }

  private viewerOf(study: Study): string | null {
    return this.options.viewer ? this.options.viewer.replace('{study}', encodeURIComponent(study.uid)) : null;
  }

  // ---- the keyboard

  private patients(): HTMLElement[] {
    return [...this.body.querySelectorAll<HTMLElement>('.patient')];
  }

  private move(by: number): void {
    const all = this.patients();
    const at = all.findIndex(patient => patient.closest('tr')?.contains(document.activeElement));
    all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]?.focus();
  }

  private selected(): Study | undefined {
    const uid = document.activeElement?.closest('tr')?.dataset['study'];
    return this.found?.studies.find(study => study.uid === uid);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const isTyping = event.target instanceof HTMLInputElement;
    const run: Record<string, () => void> = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      Escape: () => (isTyping && this.search.value === '' ? this.search.blur() : this.clear()),
    };
    if (!isTyping)
      Object.assign(run, {
        '/': () => this.search.select(),
        '?': keyHelp,
        u: () => this.dock.choose(false),
        e: () => { const study = this.selected(); if (study) this.options.explain?.(study); },
      });
    const isDay = isTyping && (event.target as HTMLInputElement).type === 'date';
    const action = isDay ? undefined : run[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}
