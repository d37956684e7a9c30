import { Radio } from '@mantine/core';
import type { Icon } from '@tabler/icons-react';
import classes from './choices.module.css';

interface Option {
  value: string;
  label: string;
  text: string;
  icon?: Icon;
}

interface ChoicesProps {
  label: string;
  options: Option[];
  value: string;
  choose: (value: string) => void;
}

/** A few options with room for words. */
export function Choices({ label, options, value, choose }: ChoicesProps) {
  return (
    <Radio.Group value={value} onChange={choose} aria-label={label}>
      <div className={classes.options}>
        {options.map((option) => (
          <Radio.Card key={option.value} value={option.value} className={classes.option} aria-label={option.label}>
            {option.icon && <option.icon size={20} stroke={1.6} aria-hidden />}
            <span>
              <span className={classes.label}>{option.label}</span>
              <span className={classes.text}>{option.text}</span>
            </span>
          </Radio.Card>
        ))}
      </div>
    </Radio.Group>
  );
}
