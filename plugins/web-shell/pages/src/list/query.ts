// What is searched for, its place in the address, and the QIDO-RS requests it becomes.
import { dicomDate } from '../dicom';

export type Period = 'any' | '1' | '3' | '7' | '30';

export interface Query {
  text: string;
  period: Period;
  from: string; // YYYYMMDD or "", wins over period
  to: string;
  modalities: string[];
}

export const LIMIT = 200;
export const PERIODS: Period[] = ['any', '1', '3', '7', '30'];
export const MODALITIES = ['CT', 'MR', 'DX', 'CR', 'US', 'MG', 'XA', 'NM', 'PT'];

export const NOTHING: Query = { text: '', period: 'any', from: '', to: '', modalities: [] };

export function isEmpty(query: Query): boolean {
  return query.text.trim() === '' && query.period === 'any' && query.from === '' && query.to === '' && query.modalities.length === 0;
}

export function queryOf(address: URLSearchParams): Query {
  const period = address.get('days') ?? 'any';
  const day = (name: string) => (/^\d{8}$/.test(address.get(name) ?? '') ? address.get(name)! : '');
  return {
    text: address.get('q') ?? '',
    period: (PERIODS as string[]).includes(period) ? (period as Period) : 'any',
    from: day('from'),
    to: day('to'),
    modalities: (address.get('modality') ?? '').split(',').filter(m => MODALITIES.includes(m)),
  };
}

export function addressOf(query: Query): string {
  const address = new URLSearchParams();
  if (query.text.trim()) address.set('q', query.text.trim());
  if (query.period !== 'any') address.set('days', query.period);
  if (query.from) address.set('from', query.from);
  if (query.to) address.set('to', query.to);
  if (query.modalities.length > 0) address.set('modality', query.modalities.join(','));
  const text = address.toString();
  return text ? `?${text}` : location.pathname;
}

function dates(query: Query): string {
  if (query.from || query.to) return `${query.from}-${query.to}`;
  if (query.period === 'any') return '';
  const from = new Date();
  from.setDate(from.getDate() - (Number(query.period) - 1));
  return `${dicomDate(from)}-`;
}

// One box for all that somebody may hold in their hands: a request for each attribute it could be of.
function matches(text: string): Record<string, string>[] {
  if (text === '') return [{}];
  const day = /^(\d{4})-?(\d\d)-?(\d\d)$/.exec(text);
  const isWild = /[*?]/.test(text);
  const word = isWild ? text : `${text}*`;
  const all: Record<string, string>[] = [{ PatientID: word }, { AccessionNumber: word }];
  if (day) all.push({ StudyDate: day.slice(1).join('') });
  if (!/^\d+$/.test(text)) all.push({ PatientName: text, fuzzymatching: 'true' });
  return all;
}

export function requestsOf(query: Query): string[] {
  const text = query.text.trim().replaceAll('\\', '').slice(0, 64);
  return matches(text).map(match => {
    const asked = new URLSearchParams({ ...match, limit: String(LIMIT) });
    const period = dates(query);
    if (period && !asked.has('StudyDate')) asked.set('StudyDate', period);
    if (query.modalities.length > 0) asked.set('ModalitiesInStudy', query.modalities.join('\\'));
    return `dicom-web/studies?${asked}`;
  });
}
