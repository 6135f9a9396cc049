// The server: who is signed in, and requests with what a session needs. Addresses are relative, so that a proxy may put
// everything below a path of its own.

export interface Session {
  user: string;
  roles: string;
  must_change_password: boolean;
  csrf: string;
}

// `status` 0: the server was not reached.
export class Failure extends Error {
  constructor(readonly status: number, readonly detail: string) {
    super(detail);
  }
}

let csrf = '';

export function csrfToken(): string {
  return csrf;
}

async function failureOf(response: Response): Promise<Failure> {
  let detail = '';
  try {
    detail = String(((await response.json()) as { detail?: unknown }).detail ?? '');
  } catch {
    // an answer of something in between: its status says enough
  }
  return new Failure(response.status, detail);
}

export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (init.method && init.method !== 'GET' && csrf) headers.set('X-Hilum-CSRF', csrf);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Failure(0, '');
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

export async function getJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await request(url, { signal: signal ?? null })).json() as Promise<T>;
}

function take(session: Session): Session {
  csrf = session.csrf;
  return session;
}

export async function getSession(): Promise<Session> {
  return take(await getJson<Session>('auth/session'));
}

function form(fields: Record<string, string>): RequestInit {
  return { method: 'POST', body: new URLSearchParams(fields) };
}

export async function signIn(user: string, password: string): Promise<Session> {
  return take((await (await request('auth/login', form({ user, password }))).json()) as Session);
}

export async function signOut(): Promise<void> {
  await request('auth/logout', { method: 'POST' });
  csrf = '';
}

export async function changePassword(old: string, fresh: string): Promise<void> {
  await request('auth/password', form({ old, new: fresh }));
  csrf = '';
}
