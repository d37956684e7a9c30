import type { Parameter, Value, Values } from '@/api/types';
import { figure, unit } from '@/ui/format';

/** What stands in the fields of a form. */
export type Entered = Record<string, Value>;

export type Parameters = Record<string, Parameter>;

function isValue(value: unknown): value is Value {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** Returns what the form begins with. */
export function initial(parameters: Parameters): Entered {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => {
      if (isValue(parameter.default)) return [name, parameter.default];
      return [name, parameter.type === 'boolean' ? false : ''];
    }),
  );
}

/** Says what is wrong with a value; undefined when nothing is. The platform decides again. */
export function misfit(parameter: Parameter, value: Value | undefined): string | undefined {
  const { minimum, maximum } = parameter;
  const of = unit(parameter.unit);
  switch (parameter.type) {
    case 'boolean':
      return undefined;
    case 'number':
    case 'integer': {
      if (typeof value !== 'number') return parameter.type === 'integer' ? 'a whole number' : 'a number';
      if (parameter.type === 'integer' && !Number.isInteger(value)) return 'a whole number';
      if (typeof minimum === 'number' && value < minimum) return `${figure(minimum)}${of} or more`;
      if (typeof maximum === 'number' && value > maximum) return `${figure(maximum)}${of} or less`;
      return undefined;
    }
    case 'choice':
      return (parameter.choices ?? []).includes(String(value)) ? undefined : 'one of the choices';
    case 'string':
      return typeof value === 'string' && (value !== '' || parameter.default === '') ? undefined : 'some text';
  }
}

/** Returns everything that is wrong, by name. */
export function misfits(parameters: Parameters, entered: Entered): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).flatMap(([name, parameter]) => {
      const wrong = misfit(parameter, entered[name]);
      return wrong === undefined ? [] : [[name, wrong]];
    }),
  );
}

/** Returns the values as the platform takes them. */
export function values(parameters: Parameters, entered: Entered): Values {
  return Object.fromEntries(Object.keys(parameters).map((name) => [name, entered[name] ?? '']));
}
