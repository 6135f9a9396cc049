// Dark for reading rooms, light where somebody asks for it.
const KEY = 'hilum.theme';

export function applyTheme(): void {
  let theme = 'dark';
  try {
    theme = localStorage.getItem(KEY) === 'light' ? 'light' : 'dark';
  } catch {
    // dark
  }
  document.documentElement.dataset['theme'] = theme;
}

export function toggleTheme(): void {
  const next = document.documentElement.dataset['theme'] === 'light' ? 'dark' : 'light';
  document.documentElement.dataset['theme'] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // for this visit only
  }
}
