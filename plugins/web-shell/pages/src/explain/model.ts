// What the command "study explain" answers, and what of it a person wants to know.
import { request } from '../api';

export interface Rule {
  rule: string;
  event: string;
  verdict: number;
  reason: string;
  plan: { verb?: string; args?: unknown }[] | null;
  count: number;
  last: string;
}

export interface Job {
  type: string;
  lane: string;
  rule: string;
  state: string;
  result: string;
  count: number;
  attempts: number;
  created: string;
  ended: string;
}

export interface Audit {
  when: string;
  who: string;
  action: string;
}

export interface Explained {
  study: Record<string, unknown>;
  arrivals: { peer: string; calling_aet: string; address: string; instances: number; first: string; last: string; non_conformance: string }[];
  rules: Rule[];
  jobs: Job[];
  edits: { when: string; who: string; why: string; tag: number }[];
  quarantine: { SOPInstanceUID: string; rule: string; reason: string; state: string; when: string }[];
  audit: Audit[];
}

export async function explain(study: string): Promise<Explained> {
  const response = await request('api/commands/study/explain', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ study }),
  });
  return ((await response.json()) as { result: Explained }).result;
}

// Most rules look and say nothing; those that asked for something or decided are what is meant by "why".
export function deciding(rules: Rule[]): Rule[] {
  return rules.filter(rule => rule.verdict !== 0 || (rule.plan?.length ?? 0) > 0);
}

export interface AuditGroup extends Audit {
  count: number;
}

// "Stored 65 times by the scanner" rather than 65 lines. Newest first.
export function grouped(audit: Audit[]): AuditGroup[] {
  const out: AuditGroup[] = [];
  for (const row of [...audit].sort((a, b) => (a.when < b.when ? -1 : 1))) {
    const last = out.at(-1);
    if (last && last.who === row.who && last.action === row.action) {
      last.count++;
      last.when = row.when;
    } else {
      out.push({ ...row, count: 1 });
    }
  }
  return out.reverse();
}

// The words for a name, or the name where there are none.
export function worded(words: Record<string, string>, name: string): string {
  return Object.hasOwn(words, name) ? words[name] ?? name : name;
}

export function planText(rule: Rule, verbs: Record<string, string>): string {
  return (rule.plan ?? []).map(step => {
    const args = step.args && typeof step.args === 'object' ? Object.values(step.args).filter(v => typeof v === 'string' || typeof v === 'number') : [];
    return [worded(verbs, step.verb ?? ''), ...args].join(' ');
  }).join(', ');
}
