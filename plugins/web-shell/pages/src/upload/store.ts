// STOW-RS (PS3.18 10.5) from a browser: one request of files at a time, with progress and a way to stop.
import { csrfToken, Failure } from '../api';
import { text, type DicomObject } from '../dicom';

export interface Outcome {
  stored: number;
  failures: string[]; // reasons, as four hexadecimal digits
}

function sequence(object: DicomObject, tag: string): DicomObject[] {
  return (object[tag]?.Value ?? []) as DicomObject[];
}

function outcomeOf(answer: string): Outcome {
  const object = JSON.parse(answer) as DicomObject;
  const failures = sequence(object, '00081198').map(item => Number(text(item, '00081197')).toString(16).toUpperCase().padStart(4, '0'));
  return { stored: sequence(object, '00081199').length, failures };
}

// Files are read by the browser as they leave: none of them is in memory here.
function bodyOf(files: File[], boundary: string): Blob {
  const parts: BlobPart[] = [];
  for (const file of files)
    parts.push(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, '\r\n');
  parts.push(`--${boundary}--\r\n`);
  return new Blob(parts);
}

export function store(files: File[], progress: (bytes: number) => void, signal: AbortSignal): Promise<Outcome> {
  const boundary = `hilum-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`;
  const xhr = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    const stop = () => xhr.abort();
    signal.addEventListener('abort', stop);
    xhr.open('POST', 'dicom-web/studies');
    xhr.setRequestHeader('Content-Type', `multipart/related; type="application/dicom"; boundary=${boundary}`);
    xhr.setRequestHeader('Accept', 'application/dicom+json');
    if (csrfToken()) xhr.setRequestHeader('X-Hilum-CSRF', csrfToken());
    xhr.upload.onprogress = event => progress(event.loaded);
    xhr.onabort = () => reject(new DOMException('stopped', 'AbortError'));
    xhr.onerror = () => reject(new Failure(0, ''));
    xhr.onload = () => {
      // 409: none was taken, and the body says why of each.
      if (![200, 202, 409].includes(xhr.status)) return reject(new Failure(xhr.status, ''));
      try {
        resolve(outcomeOf(xhr.responseText));
      } catch {
        reject(new Failure(xhr.status, ''));
      }
    };
    xhr.onloadend = () => signal.removeEventListener('abort', stop);
    xhr.send(bodyOf(files, boundary));
  });
}
