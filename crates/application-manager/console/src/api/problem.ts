/** One thing that is wrong: where, what was found, what is allowed. */
export interface Misfit {
  path: string;
  found: string;
  allowed: string;
}

/** Why the platform did not do something, for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly detail: string,
    readonly misfits: Misfit[] = [],
  ) {
    super(detail);
    this.name = 'Problem';
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function text(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

/** Reads the body of an error answer (RFC 9457); anything else becomes words as well. */
export function problemFrom(status: number, body: unknown): Problem {
  if (!isRecord(body)) return new Problem(status, 'unknown', `the platform answered with status ${String(status)}`);
  const errors = Array.isArray(body['errors']) ? body['errors'].filter(isRecord) : [];
  return new Problem(
    status,
    text(body['type'], 'unknown'),
    text(body['detail'], text(body['title'], `the platform answered with status ${String(status)}`)),
    errors.map((error) => ({
      path: text(error['path'], ''),
      found: text(error['found'], ''),
      allowed: text(error['allowed'], ''),
    })),
  );
}

/** How browsers say that nothing answered; any other `TypeError` is a fault of the console itself. */
const UNREACHABLE = /fetch|network|load failed/i;

/** Says what went wrong, whatever was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError && UNREACHABLE.test(error.message)) return new Problem(0, 'unreachable', 'the platform does not answer; it is tried again');
  return new Problem(0, 'unknown', error instanceof Error ? error.message : String(error));
}
