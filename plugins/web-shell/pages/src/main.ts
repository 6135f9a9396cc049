// The start: who is here, and the list or the sign-in for them.
import { getJson, getSession, type Session } from './api';
import { h } from './dom';
import { explainDrawer } from './explain/drawer';
import { language, setLanguage, t } from './i18n';
import { load, type Found } from './list/load';
import { ListPage } from './list/page';
import { queryOf, type Query } from './list/query';
import { signInPage } from './signin';
import { applyTheme } from './theme';

const app = document.getElementById('app')!;
let list: ListPage | null = null;

interface Config {
  viewer: string;
}

// Back to where the sign-in was asked for: a page of this server, nothing else.
function nextPage(): string | null {
  const next = new URLSearchParams(location.search).get('next');
  const at = next ? new URL(next, location.href) : null;
  return at && at.origin === location.origin && next!.startsWith('/') ? at.href : null;
}

function showSignIn(): void {
  list?.retire();
  list = null;
  document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
  document.title = `${t().signIn} · ${t().product}`;
  const corner = () => h('div', { class: 'corner' },
    h('button', { type: 'button', class: 'button is-quiet', lang: language() === 'zh' ? 'en' : 'zh', 'aria-label': t().languageLabel, on: { click: () => { setLanguage(language() === 'zh' ? 'en' : 'zh'); showSignIn(); } } }, t().language));
  signInPage(app, corner, session => {
    const next = nextPage();
    if (next) location.assign(next);
    else showList(session, queryOf(new URLSearchParams(location.search)));
  });
}

let config: Promise<Config> | null = null;

async function showList(session: Session, query: Query, first: Promise<Found> = load(query)): Promise<void> {
  list?.retire();
  document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
  first.catch(() => undefined); // looked at by the page
  config ??= getJson<Config>('shell/config.json').catch(() => ({ viewer: '' }));
  const { viewer } = await config;
  list = new ListPage(app, {
    session, query, first, viewer,
    explain: explainDrawer,
    rebuild: next => void showList(session, next),
    signedOut: showSignIn,
  });
}

async function start(): Promise<void> {
  applyTheme();
  const query = queryOf(new URLSearchParams(location.search));
  // All at once: each would otherwise cost a way to the server and back.
  const first = load(query);
  first.catch(() => undefined);
  config = getJson<Config>('shell/config.json').catch(() => ({ viewer: '' }));
  const session = await getSession().catch(() => null);
  const next = nextPage();
  if (next && session?.user === '') return showSignIn();
  // The browser kept the session from a page that a link elsewhere led to; from here it does not.
  if (next && session) return location.replace(next);
  const isRefused = session?.user === '' && (await first.then(() => false, error => error?.status === 401));
  if (isRefused) showSignIn();
  else await showList(session ?? { user: '', roles: '', must_change_password: false, csrf: '' }, query, first);
}

void start();
