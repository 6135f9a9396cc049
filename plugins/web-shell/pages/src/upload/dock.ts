// The upload as it is seen: a dock in the corner while files are stored, and the page as a place to drop them.
import { h, replace } from '../dom';
import { t } from '../i18n';
import { icon } from '../icons';
import { filesOf } from './files';
import { upload, type Progress } from './upload';

const SHOWN = 4;

function title(progress: Progress): string {
  const texts = t(), failed = progress.problems.length;
  switch (progress.phase) {
    case 'reading': return texts.reading;
    case 'storing': return texts.uploading(Math.min(progress.doneFiles + 1, progress.files), progress.files);
    case 'cancelled': return texts.uploadCancelled(progress.stored);
    case 'done':
      if (failed === 0) return texts.uploadDone(progress.stored);
      return progress.stored === 0 ? texts.uploadNone : texts.uploadPartly(progress.stored, failed);
  }
}

function problemText(code: string): string {
  if (code === 'not-dicom') return t().notDicom;
  return code === 'not-sent' ? t().notSent : t().refused(code);
}

function problemList(progress: Progress): HTMLElement | null {
  const all = progress.problems;
  if (all.length === 0 || progress.phase === 'reading') return null;
  return h('ul', { class: 'problems' },
    ...all.slice(0, SHOWN).map(problem => h('li', {}, h('span', { class: 'problem-name' }, problem.name), ' ', problemText(problem.code))),
    all.length > SHOWN && h('li', {}, t().andMore(all.length - SHOWN)));
}

function bar(progress: Progress): HTMLElement | null {
  if (progress.phase !== 'storing' || progress.bytes === 0) return null;
  const element = h('progress', { class: 'bar', max: 1000, 'aria-label': title(progress) });
  element.value = Math.round((1000 * progress.doneBytes) / progress.bytes);
  return element;
}

export class Dock {
  readonly element = h('section', { class: 'dock', 'aria-live': 'polite', hidden: true });
  private abort: AbortController | null = null;

  constructor(private readonly stored: () => void, private readonly signedOut: () => void) {}

  private show(progress: Progress): void {
    const isRunning = progress.phase === 'reading' || progress.phase === 'storing';
    const isGood = progress.phase === 'done' && progress.problems.length === 0;
    this.element.hidden = false;
    replace(this.element,
      h('div', { class: 'dock-head' },
        h('span', { class: `dock-icon${isRunning ? '' : isGood ? ' is-good' : ' is-bad'}` }, icon(isRunning ? 'upload' : isGood ? 'done' : 'alert')),
        h('strong', {}, title(progress)),
        h('button', { type: 'button', class: 'button is-quiet', on: { click: () => (isRunning ? this.abort?.abort() : this.hide()) } },
          isRunning ? t().cancel : t().close)),
      bar(progress), problemList(progress));
  }

  private hide(): void {
    this.element.hidden = true;
  }

  async take(files: File[]): Promise<void> {
    if (files.length === 0 || this.abort) return;
    this.abort = new AbortController();
    try {
      const end = await upload(files, progress => this.show(progress), this.abort.signal);
      if (end.stored > 0) this.stored();
    } catch {
      this.hide();
      this.signedOut();
    } finally {
      this.abort = null;
    }
  }

  // The browser's own dialogs, for files and for a folder with all it holds.
  choose(isFolder: boolean): void {
    const input = h('input', { type: 'file', multiple: true, webkitdirectory: isFolder });
    input.addEventListener('change', () => void this.take([...(input.files ?? [])]));
    input.click();
  }
}

// The whole page takes drops while `isOpen()` and until `end`; a veil says so as long as something hangs over it.
export function acceptDrops(dock: Dock, isOpen: () => boolean, end: AbortSignal): HTMLElement {
  const veil = h('div', { class: 'veil', hidden: true, 'aria-hidden': 'true' },
    h('div', { class: 'veil-card' }, icon('upload'), h('strong', {}, t().dropHere)));
  const carriesFiles = (event: DragEvent) => isOpen() && (event.dataTransfer?.types.includes('Files') ?? false);
  let depth = 0; // enter and leave come for each element below
  const over = (change: number) => {
    depth = Math.max(0, depth + change);
    veil.hidden = depth === 0;
  };
  const listen = (type: 'dragenter' | 'dragover' | 'dragleave' | 'drop', handle: (event: DragEvent) => void) =>
    addEventListener(type, event => { if (carriesFiles(event)) { event.preventDefault(); handle(event); } }, { signal: end });
  listen('dragenter', () => over(1));
  listen('dragover', () => undefined);
  listen('dragleave', () => over(-1));
  listen('drop', event => {
    over(-depth);
    void filesOf(event.dataTransfer!).then(files => dock.take(files));
  });
  return veil;
}
