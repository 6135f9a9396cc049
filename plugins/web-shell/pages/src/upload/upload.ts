// The upload as a whole: files into requests, how far it is, what was not taken.
import { Failure } from '../api';
import { isDicom } from './files';
import { store } from './store';

const BATCH_FILES = 50, BATCH_BYTES = 64 * 1024 * 1024;

export interface Progress {
  phase: 'reading' | 'storing' | 'done' | 'cancelled';
  files: number; // to be stored
  doneFiles: number;
  bytes: number;
  doneBytes: number;
  stored: number;
  problems: { name: string; code: string }[]; // code: "not-dicom", "not-sent", or a status
}

function batches(files: File[]): File[][] {
  const out: File[][] = [];
  let bytes = Infinity;
  for (const file of files) {
    const last = out.at(-1);
    if (!last || last.length >= BATCH_FILES || bytes + file.size > BATCH_BYTES) {
      out.push([file]);
      bytes = file.size;
    } else {
      last.push(file);
      bytes += file.size;
    }
  }
  return out;
}

async function sort(files: File[], progress: Progress, tell: () => void): Promise<File[]> {
  const good: File[] = [];
  for (const file of files) {
    const is = await isDicom(file).catch(() => false);
    if (is) good.push(file);
    else progress.problems.push({ name: file.name, code: 'not-dicom' });
    if ((good.length + progress.problems.length) % 200 === 0) tell();
  }
  return good;
}

async function sendBatch(batch: File[], progress: Progress, tell: () => void, signal: AbortSignal): Promise<void> {
  const before = progress.doneBytes, size = batch.reduce((sum, file) => sum + file.size, 0);
  try {
    const outcome = await store(batch, bytes => {
      progress.doneBytes = before + Math.min(bytes, size);
      tell();
    }, signal);
    progress.stored += outcome.stored;
    for (const code of outcome.failures) progress.problems.push({ name: batch.length === 1 ? batch[0]!.name : '', code });
  } catch (error) {
    if (signal.aborted || (error instanceof Failure && error.status === 401)) throw error;
    for (const file of batch) progress.problems.push({ name: file.name, code: 'not-sent' });
  }
  progress.doneFiles += batch.length;
  progress.doneBytes = before + size;
  tell();
}

// Ends with phase "done" or "cancelled". Rejects only where nobody is signed in any more (Failure 401).
export async function upload(files: File[], changed: (progress: Progress) => void, signal: AbortSignal): Promise<Progress> {
  const progress: Progress = { phase: 'reading', files: files.length, doneFiles: 0, bytes: 0, doneBytes: 0, stored: 0, problems: [] };
  const tell = () => changed(progress);
  tell();
  const good = await sort(files, progress, tell);
  progress.phase = 'storing';
  progress.files = good.length;
  progress.bytes = good.reduce((sum, file) => sum + file.size, 0);
  tell();
  try {
    for (const batch of batches(good)) {
      if (signal.aborted) break;
      await sendBatch(batch, progress, tell, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  progress.phase = signal.aborted ? 'cancelled' : 'done';
  tell();
  return progress;
}
