/** Letters and digits that are not mistaken for each other. */
const LETTERS = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const LENGTH = 16;

/** Returns an unguessable password that can be read aloud. */
export function newPassword(): string {
  const limit = 256 - (256 % LETTERS.length);
  const letters: string[] = [];
  while (letters.length < LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(LENGTH))) {
      // Bytes above the limit would make the first letters likelier.
      if (byte < limit && letters.length < LENGTH) letters.push(LETTERS.charAt(byte % LETTERS.length));
    }
  }
  return letters.join('');
}
