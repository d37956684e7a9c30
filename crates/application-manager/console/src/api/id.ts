/** Returns an unguessable id. `crypto.randomUUID` is missing on plain http, where most installations begin. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
