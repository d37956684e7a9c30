import classes from './sign.module.css';

const SIZE = 40;
/** Hues that go with the platform's colours. */
const HUES = [190, 215, 262, 158, 28, 336];

/** Returns a number that stays the same for a name. */
function hash(name: string): number {
  let value = 7;
  for (const letter of name) value = (value * 31 + (letter.codePointAt(0) ?? 0)) % 997;
  return value;
}

/** A sign by which an application is found again: a wave of its own, from its name. */
export function ApplicationSign({ name, title }: { name: string; title: string }) {
  const seed = hash(name);
  const hue = HUES[seed % HUES.length] ?? 0;
  const heights = [0, 1, 2, 3, 4].map((bar) => 6 + ((seed >> bar) % 5) * 3.4 + (bar % 2) * 2);
  return (
    <svg className={classes.sign} width={SIZE} height={SIZE} viewBox="0 0 40 40" role="img" aria-label={`sign of ${title}`} style={{ '--hue': hue } as React.CSSProperties}>
      <rect width="40" height="40" rx="10" />
      {heights.map((height, bar) => (
        <path key={bar} d={`M${String(9 + bar * 5.5)} ${String(20 - height / 2)}v${String(height)}`} />
      ))}
    </svg>
  );
}
