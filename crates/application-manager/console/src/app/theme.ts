import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

/** The accent of the platform. */
const petrol: MantineColorsTuple = [
  '#edf7f9',
  '#d7ebef',
  '#b0d7df',
  '#83bfcc',
  '#56a6b7',
  '#2f8a9f',
  '#1c7187',
  '#135c70',
  '#104a5a',
  '#0c3541',
];

/** Neutrals with a breath of the accent; 0 is light, 9 is dark. */
const slate: MantineColorsTuple = [
  '#dde5e8',
  '#bccacf',
  '#98a9af',
  '#748891',
  '#384850',
  '#2a373d',
  '#1d282d',
  '#151e22',
  '#101719',
  '#0b1012',
];

/** Which tokens an alert of a colour takes. */
const ALERTS: Record<string, string> = { red: 'bad', yellow: 'warn', gray: 'idle' };

export const theme = createTheme({
  colors: { petrol, dark: slate },
  primaryColor: 'petrol',
  primaryShade: { light: 7, dark: 6 },
  defaultRadius: 'md',
  radius: { xs: '4px', sm: '6px', md: '8px', lg: '12px', xl: '16px' },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '12px', sm: '13.5px', md: '15px', lg: '17px', xl: '20px' },
  headings: {
    fontWeight: '620',
    sizes: {
      h1: { fontSize: '22px', lineHeight: '1.3' },
      h2: { fontSize: '15px', lineHeight: '1.4' },
      h3: { fontSize: '14px', lineHeight: '1.4' },
    },
  },
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'sm' } },
    TextInput: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'sm', allowDeselect: false, checkIconPosition: 'right' } },
    NumberInput: { defaultProps: { size: 'sm' } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true } },
    Modal: { defaultProps: { radius: 'lg', centered: true, overlayProps: { backgroundOpacity: 0.45, blur: 2 } } },
    CloseButton: { defaultProps: { 'aria-label': 'close' } },
    Alert: {
      vars: (_: unknown, { color }: { color?: string }) => {
        const token = ALERTS[color ?? ''] ?? 'busy';
        return { root: { '--alert-bg': `var(--${token}-wash)`, '--alert-color': `var(--${token})` } };
      },
    },
    Tabs: { styles: { list: { flexWrap: 'nowrap', overflowX: 'auto', overflowY: 'hidden' }, tab: { flex: 'none' } } },
    Notification: { styles: { description: { color: 'var(--ink-soft)' } } },
    Menu: { defaultProps: { radius: 'md', shadow: 'md' } },
  },
});

/** Mantine's colours, taken from the platform's own tokens (tokens.css). */
export const variables: CSSVariablesResolver = () => {
  const both = {
    '--mantine-color-body': 'var(--surface)',
    '--mantine-color-text': 'var(--ink)',
    '--mantine-color-dimmed': 'var(--ink-soft)',
    '--mantine-color-placeholder': 'var(--ink-soft)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-default': 'var(--surface)',
    '--mantine-color-default-hover': 'var(--surface-raised)',
    '--mantine-color-error': 'var(--bad)',
    '--mantine-color-anchor': 'var(--accent)',
  };
  return { variables: {}, light: both, dark: both };
};
