// Signing in, and the new password that an account's first sign-in asks for.
import { changePassword, Failure, signIn, type Session } from './api';
import { h, replace } from './dom';
import { t } from './i18n';
import { icon, mark } from './icons';

function reason(error: unknown): string {
  const texts = t();
  if (!(error instanceof Failure)) return texts.unreachable;
  switch (error.status) {
    case 0: return texts.unreachable;
    case 401: return texts.wrongPassword;
    case 403: return texts.needsTls;
    case 429: return texts.tooManyFailures;
    case 503: return texts.directoryDown;
    default: return error.detail || texts.unreachable;
  }
}

function field(label: string, props: Record<string, string | boolean>): { row: HTMLElement; input: HTMLInputElement } {
  const input = h('input', { class: 'field', required: true, ...props });
  return { row: h('label', { class: 'form-row' }, h('span', {}, label), input), input };
}

interface Card {
  title: string;
  hint: string;
  rows: HTMLElement[];
  action: string;
  submit: () => Promise<void>;
}

// A form whose button waits with it and whose failure is told in place.
function card(parts: Card): HTMLElement {
  const complaint = h('p', { class: 'complaint', role: 'alert' });
  const button = h('button', { class: 'button is-primary is-wide', type: 'submit' }, parts.action);
  const form = h('form', { class: 'card signin' },
    h('div', { class: 'signin-head' }, mark(), h('h1', {}, parts.title), h('p', { class: 'hint' }, parts.hint)),
    ...parts.rows, complaint, button);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    button.disabled = true;
    replace(complaint);
    try {
      await parts.submit();
    } catch (error) {
      replace(complaint, icon('alert'), h('span', {}, error instanceof Error && error.name === 'Said' ? error.message : reason(error)));
    } finally {
      button.disabled = false;
    }
  });
  return h('main', { class: 'stage' }, form);
}

function said(text: string): Error {
  const error = new Error(text);
  error.name = 'Said';
  return error;
}

function newPasswordCard(old: string, done: () => void): HTMLElement {
  const fresh = field(t().newPassword, { type: 'password', autocomplete: 'new-password', name: 'new' });
  const again = field(t().repeatPassword, { type: 'password', autocomplete: 'new-password', name: 'again' });
  return card({
    title: t().newPasswordTitle,
    hint: t().newPasswordHint,
    rows: [fresh.row, again.row],
    action: t().changePassword,
    submit: async () => {
      if (fresh.input.value !== again.input.value) throw said(t().passwordsDiffer);
      await changePassword(old, fresh.input.value);
      done();
    },
  });
}

// `corner` holds what the page offers before anybody has signed in (the language).
export function signInPage(into: Element, corner: () => HTMLElement, done: (session: Session) => void, hint = t().signInHint): void {
  const user = field(t().user, { type: 'text', autocomplete: 'username', name: 'user', autocapitalize: 'none', spellcheck: 'false' });
  const password = field(t().password, { type: 'password', autocomplete: 'current-password', name: 'password' });
  const page = card({
    title: t().signInTo,
    hint,
    rows: [user.row, password.row],
    action: t().signIn,
    submit: async () => {
      const old = password.input.value;
      const session = await signIn(user.input.value, old);
      if (session.must_change_password)
        replace(into, corner(), newPasswordCard(old, () => signInPage(into, corner, done, t().passwordChanged)));
      else done(session);
    },
  });
  replace(into, corner(), page);
  user.input.focus();
}
