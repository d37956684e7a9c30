import { ActionIcon, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useState } from 'react';
import classes from './copy.module.css';

/** Copies text. Browsers offer the clipboard only on https, so plain http takes the older way. */
async function copy(text: string): Promise<void> {
  if (isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.style.position = 'fixed';
  area.style.opacity = '0';
  // Inside an open dialogue, focus may not leave it.
  const holder = document.activeElement?.closest('[role="dialog"]') ?? document.body;
  holder.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

const SHOWN_MS = 1600;

/** A button that copies. */
export function CopyButton({ text, label = 'copy' }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const press = () => {
    void copy(text).then(() => {
      setCopied(true);
      setTimeout(() => {
        setCopied(false);
      }, SHOWN_MS);
    });
  };
  return (
    <Tooltip label={copied ? 'copied' : label}>
      <ActionIcon variant="subtle" aria-label={copied ? 'copied' : label} onClick={press}>
        {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

/** A short text to copy, such as an address or a secret. */
export function CopyLine({ label, text }: { label: string; text: string }) {
  return (
    <div className={classes.line}>
      <span className={classes.label}>{label}</span>
      <code className={classes.text}>{text}</code>
      <CopyButton text={text} label={`copy ${label.toLowerCase()}`} />
    </div>
  );
}

/** Lines of code to copy. */
export function Snippet({ label, text }: { label: string; text: string }) {
  return (
    <figure className={classes.snippet}>
      <figcaption>
        {label}
        <CopyButton text={text} label={`copy ${label}`} />
      </figcaption>
      {/* Wide code scrolls sideways, also by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}
