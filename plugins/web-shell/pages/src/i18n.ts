// The language: the browser's, until somebody chooses another.
import { en, type Texts } from './texts/en';
import { zh } from './texts/zh';

export type Language = 'en' | 'zh';
const KEY = 'hilum.language';

function stored(): Language | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'en' || value === 'zh' ? value : null;
  } catch {
    return null; // no storage in this browser: it is asked each time
  }
}

let current: Language = stored() ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');

export function language(): Language {
  return current;
}

export function setLanguage(next: Language): void {
  current = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // for this visit only
  }
}

export function t(): Texts {
  return current === 'zh' ? zh : en;
}
