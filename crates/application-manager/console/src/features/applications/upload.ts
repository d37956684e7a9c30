import { newId } from '@/api/id';
import { problemFrom, Problem } from '@/api/problem';
import type { Application } from '@/api/types';

/** What became of an upload. */
export interface Uploaded {
  application: Application;
  version: string;
}

/** Who sees a new application. */
export type Listing = 'everyone' | 'named' | undefined;

/** Uploads a bundle; `fetch` can not tell how far an upload is. */
export function upload(file: File, listed: Listing, progress: (share: number) => void, signal: AbortSignal): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/api/v1/applications${listed === undefined ? '' : `?listed=${listed}`}`);
    request.setRequestHeader('Idempotency-Key', newId());
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(body as Uploaded);
      else reject(problemFrom(request.status, body));
    };
    request.onerror = () => {
      reject(new Problem(0, 'unreachable', 'the upload broke off; the platform does not answer, or the zip is larger than it takes'));
    };
    request.onabort = () => {
      reject(new Problem(0, 'aborted', 'the upload was called off'));
    };
    signal.addEventListener('abort', () => {
      request.abort();
    });
    const form = new FormData();
    form.append('bundle', file, file.name);
    request.send(form);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
