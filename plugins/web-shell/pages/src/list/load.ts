// The studies of a search, newest first.
import { Failure, request } from '../api';
import { studyOf, type DicomObject, type Study } from '../dicom';
import { LIMIT, requestsOf, type Query } from './query';

export interface Found {
  studies: Study[];
  hasMore: boolean;
}

async function ask(url: string, signal?: AbortSignal): Promise<Found> {
  const response = await request(url, { signal: signal ?? null });
  if (response.status === 204) return { studies: [], hasMore: false };
  const objects = (await response.json()) as DicomObject[];
  return { studies: objects.map(studyOf), hasMore: objects.length >= LIMIT && response.headers.has('Warning') };
}

// An attribute may not take the text as a value of its kind: then it is not of this attribute.
async function askOne(url: string, isOnly: boolean, signal?: AbortSignal): Promise<Found> {
  try {
    return await ask(url, signal);
  } catch (error) {
    if (!isOnly && error instanceof Failure && error.status === 400) return { studies: [], hasMore: false };
    throw error;
  }
}

function newestFirst(a: Study, b: Study): number {
  const left = a.date + a.time, right = b.date + b.time;
  return left === right ? a.uid.localeCompare(b.uid) : left < right ? 1 : -1;
}

export async function load(query: Query, signal?: AbortSignal): Promise<Found> {
  const urls = requestsOf(query);
  const answers = await Promise.all(urls.map(url => askOne(url, urls.length === 1, signal)));
  const byUid = new Map<string, Study>();
  for (const answer of answers) for (const study of answer.studies) byUid.set(study.uid, study);
  const studies = [...byUid.values()].sort(newestFirst);
  return { studies: studies.slice(0, LIMIT), hasMore: answers.some(answer => answer.hasMore) || studies.length > LIMIT };
}
