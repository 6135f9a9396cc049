// DICOM JSON (PS3.18 F) as the list needs it.

interface Attribute {
  vr: string;
  Value?: unknown[];
}
export type DicomObject = Record<string, Attribute>;

interface PersonName {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}

export interface Study {
  uid: string;
  name: string; // as its own script writes it, else in Latin letters; "" if there is none
  latin: string; // the Latin form beside another script
  id: string;
  sex: string;
  birth: string; // YYYYMMDD
  date: string; // YYYYMMDD
  time: string; // HHMM
  description: string;
  accession: string;
  modalities: string[];
  series: number;
  images: number;
}

function first(object: DicomObject, tag: string): unknown {
  return object[tag]?.Value?.[0];
}

export function text(object: DicomObject, tag: string): string {
  const value = first(object, tag);
  return value === undefined || value === null ? '' : String(value);
}

// "Wang^Xiaoming" is "Wang Xiaoming"; Han and Kana names are written without a space.
function spoken(group: string): string {
  const parts = group.split('^').map(part => part.trim()).filter(part => part !== '');
  const isJoined = parts.every(part => /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+$/u.test(part));
  return parts.join(isJoined ? '' : ' ');
}

export function studyOf(object: DicomObject): Study {
  const name = (first(object, '00100010') ?? {}) as PersonName;
  const own = spoken(name.Ideographic ?? ''), latin = spoken(name.Alphabetic ?? '');
  const modalities = (object['00080061']?.Value ?? []).map(String);
  return {
    uid: text(object, '0020000D'),
    name: own || latin,
    latin: own ? latin : '',
    id: text(object, '00100020'),
    sex: text(object, '00100040'),
    birth: text(object, '00100030'),
    date: text(object, '00080020'),
    time: text(object, '00080030').slice(0, 4),
    description: text(object, '00081030'),
    accession: text(object, '00080050'),
    modalities,
    series: Number(first(object, '00201206') ?? 0),
    images: Number(first(object, '00201208') ?? 0),
  };
}

export function dateText(date: string): string {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
}

export function timeText(time: string): string {
  return /^\d{4}/.test(time) ? `${time.slice(0, 2)}:${time.slice(2, 4)}` : '';
}

// Whole years at the day of the study; null: not known.
export function ageAt(birth: string, date: string): number | null {
  if (!/^\d{8}$/.test(birth) || !/^\d{8}$/.test(date)) return null;
  const years = Math.floor((Number(date) - Number(birth)) / 10000);
  return years >= 0 && years < 150 ? years : null;
}

export function dicomDate(day: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${day.getFullYear()}${two(day.getMonth() + 1)}${two(day.getDate())}`;
}
