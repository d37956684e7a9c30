/** The sign of the platform: a reading that becomes a signal. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="8" fill="#135c70" />
      <path
        d="M7 20.5c3 0 3-9 6-9s3 9 6 9 3-9 6-9"
        fill="none"
        stroke="#fff"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
      <circle cx="25" cy="11.5" r="2.6" fill="#ffd479" />
    </svg>
  );
}
